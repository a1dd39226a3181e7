"""Several runs side by side: a tab for each side of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os.path import commonpath
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.widgets import Static

from core.run.errors import S3Error
from core.run.rundir import RunDir
from core.run.structure import Structure, read_structure
from s3tui.text.sanitize import clean
from s3tui.tui.panes.compare_panes import ChosenPane, Compared, ComparePane, CurvesPane, PointsPane, ResultsPane
from s3tui.tui.screens.run import Run
from s3tui.tui.screens.tabbed import Tabbed, tab_keys
from s3tui.tui.snapshot import RunDetail, Snapshot
from s3tui.tui.support.background import handed_over
from s3tui.tui.support.palette import COLOURS_DARK, COLOURS_LIGHT, Cell, content, text
from s3tui.tui.widgets.grid import Grid

OVERLAID = 8  # runs whose curves are drawn at a time: more look alike, and each is read as a whole
PANES: dict[str, type[ComparePane]] = {
    "Curves": CurvesPane, "Results": ResultsPane, "Parameters": PointsPane, "Candidates": ChosenPane,
}  # fmt: skip


class Compare(Tabbed):
    """Several runs side by side."""

    TITLE = "compare"
    PANES = PANES
    BINDINGS: ClassVar[list[BindingType]] = [*tab_keys(PANES)]

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self._names = tuple(names)
        self._structures: dict[str, Structure] = {}
        self._asked: set[str] = set()  # the runs whose structures have been read, or are being read
        self._legend: tuple[object, ...] = ()

    @property
    def chosen_names(self) -> list[str]:
        """The run under the cursor, where the tab has a table of runs."""
        grid = self.pane.grid_on_screen
        return [name for name in self._names if grid is not None and name == grid.cursor_key]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """These runs are compared already."""
        return action != "compare"

    def compose(self) -> ComposeResult:
        """What is compared, and the tabs."""
        yield Static(id="headline", markup=False)
        yield Static(id="legend", markup=False)
        yield from self.compose_tabs()

    def on_screen_resume(self) -> None:
        """Another screen may have had the details of other runs loaded."""
        self.s3.watch_runs(self._names[:OVERLAID])

    def exported_as(self, part: str) -> str:
        """Not by the names of all these runs."""
        return f"compared {part}"

    def update_snapshot(self, snapshot: Snapshot) -> None:
        """Show the runs as they are now; those that are gone are left out."""
        there = [name for name in self._names if name in snapshot.lines and name in snapshot.runs]
        self._read_structures(snapshot, there)
        short = short_names(there)
        overlaid = {short[name]: snapshot.details.get(name, RunDetail()).history for name in there[:OVERLAID]}
        lines = tuple(snapshot.lines[name] for name in there)
        runs = {name: snapshot.runs[name] for name in there}
        self._draw_head(there, list(overlaid), snapshot)
        pane = self.pane
        assert isinstance(pane, ComparePane)
        pane.compare(Compared(lines, runs, short, overlaid, dict(self._structures)))

    def _draw_head(self, there: Sequence[str], overlaid: Sequence[str], snapshot: Snapshot) -> None:
        reading = [n for n in there[:OVERLAID] if not snapshot.details.get(n, RunDetail()).loaded]
        shown = (tuple(there), tuple(overlaid), bool(reading), self.app.current_theme.dark, self.size.width)
        if shown == self._legend:
            return
        self._legend = shown
        cells: list[Cell] = [text("s3tui ", "strong"), text(f"{len(there)} runs compared")]
        if len(there) > len(overlaid):
            cells.append(text(f"  curves of the first {len(overlaid)}, tables of all", "warn"))
        if reading:
            cells.append(text("  reading", "muted"))
        self.query_one("#headline", Static).update(content(*cells))
        colours = COLOURS_DARK if self.app.current_theme.dark else COLOURS_LIGHT
        parts = [_legend_part(colours[i % len(colours)], name) for i, name in enumerate(overlaid)]
        self.query_one("#legend", Static).update(Content("\n").join(_wrapped(parts, self.size.width - 2)))

    def _read_structures(self, snapshot: Snapshot, names: Iterable[str]) -> None:
        """Read what has been chosen since, in the feed's thread."""
        lines = snapshot.lines
        chosen = {n for n in names if lines[n].status == "finished" or lines[n].phase in ("retrain", "test")}
        wanted = {name: snapshot.runs[name].directory for name in chosen - self._asked}
        if wanted:
            self._asked |= wanted.keys()
            have = handed_over(self, self._have_structures)
            self.s3.in_background(lambda: have(_structures(wanted)))

    def _have_structures(self, found: dict[str, Structure]) -> None:
        self._structures |= found
        self.show_latest()

    @on(Grid.Chosen)
    def _open(self, message: Grid.Chosen) -> None:
        if message.key in self._names:
            self.app.push_screen(Run(message.key, self._names))


def _structures(directories: dict[str, RunDir]) -> dict[str, Structure]:
    """The structures that can be read; what is damaged has none to count."""
    found = {}
    for name, directory in directories.items():
        try:
            found[name] = read_structure(directory.structure)
        except S3Error:
            continue
    return found


def _wrapped(parts: Sequence[Content], width: int) -> list[Content]:
    """Parts in lines, none of which is broken between its colour and its name."""
    lines: list[Content] = []
    for part in parts:
        joined = Content.assemble(lines[-1], "  ", part) if lines else part
        if lines and joined.cell_length <= width:
            lines[-1] = joined
        else:
            lines.append(part)
    return lines


def _legend_part(colour: tuple[int, int, int], name: str) -> Content:
    red, green, blue = colour
    return Content.assemble(("━ ", f"rgb({red},{green},{blue})"), clean(name))


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Names without the folders that all of them have in common."""
    shared = commonpath([name.rpartition("/")[0] for name in names]) if names else ""
    start = len(shared) + 1 if shared else 0
    return {name: name[start:] for name in names}
