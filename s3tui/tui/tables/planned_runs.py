"""The runs of a suite file, and which of them are marked to be started."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from s3tui.text.sanitize import clean
from s3tui.tui.support.palette import Cell, text
from s3tui.tui.tables.planned_rows import data_lines, detail_of, glyph_of, row_of, state_of
from s3tui.tui.widgets.grid import Row

if TYPE_CHECKING:
    from s3tui.suite.data_text import Look
    from s3tui.suite.plan import Outlook
    from s3tui.suite.preview import Preview
    from s3tui.suite.size import Size


class PlannedRuns:
    """The runs of the file as last read, which of them are marked, and the sizes of their spaces.

    All runs are marked until the user unmarks one, also when the file is read again. Without `preview` there are none.
    """

    def __init__(self) -> None:
        self.preview: Preview | None = None
        self.sizes: dict[str, Size] | None = None  # None while the models are still being built
        self.looks: dict[str, Look] = {}  # at the data of each run that has files
        self._left_out: set[str] = set()

    @property
    def all(self) -> tuple[Outlook, ...]:
        """All runs of the file."""
        return self.preview.runs if self.preview else ()

    @property
    def marked(self) -> list[Outlook]:
        """The runs that would be started."""
        return [one for one in self.all if one.run.name not in self._left_out]

    def toggle(self, name: str) -> None:
        """Mark or unmark a run."""
        self._left_out ^= {name}

    def toggle_all(self) -> None:
        """Mark all runs, or if all are marked, unmark them."""
        self._left_out = set() if self._left_out else {one.run.name for one in self.all}

    @property
    def command(self) -> str:
        """The command that starts the marked runs."""
        return self.preview.command(self.marked) if self.preview else ""

    # Display

    def rows(self) -> list[Row]:
        """A row for each run."""
        return [row_of(one, one.run.name not in self._left_out, self._size_of(one)) for one in self.all]

    def counts(self) -> list[Cell]:
        """The number of runs in each state, and their folder."""
        if self.preview is None:
            return []
        cells: list[Cell] = []
        for name, number in Counter(state_of(one) for one in self.all).items():
            cells += [text("  "), (glyph_of(name), (f"{number} {name}", ""))]
        return [*cells, text(f"  in {clean(str(self.preview.suite.folder))}", "muted")]

    def detail(self, name: str | None) -> Sequence[Sequence[Cell]]:
        """The details of a run, in lines; none if there is no such run."""
        one = next((one for one in self.all if one.run.name == name), None)
        if one is None or self.preview is None:
            return ()
        seen = data_lines(one, self.looks.get(one.run.name), self._size_of(one))
        return [*detail_of(one, self._size_of(one), self.sizes is None), *seen]

    def _size_of(self, one: Outlook) -> Size | None:
        from s3tui.suite.preview import key_of

        return (self.sizes or {}).get(key_of(one.run.spec))
