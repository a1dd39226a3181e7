"""The shown runs of a workspace: filtered, sorted, grouped, and marked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from core.run.errors import UsageError
from s3tui.listing.arrays import Array, with_arrays
from s3tui.listing.filters import parse_filter
from s3tui.listing.grouping import grouped
from s3tui.listing.run_row import Line
from s3tui.listing.sorted_rows import Ordering
from s3tui.runs.records.job import Job
from s3tui.tui.snapshot import Snapshot
from s3tui.tui.tables.run_rows import Rows, key_of
from s3tui.tui.widgets.grid import Row


class ArrangedRuns:
    """The arrangement of runs: set `filter`, `sort`, `group_by` and `marked`, then call `arrange`.

    `sort` is the key of a column, with a leading `-` for descending order. `problem` says why the filter is invalid;
    an invalid filter passes every run.
    """

    def __init__(self) -> None:
        self.filter, self.sort, self.group_by = "", "", ""
        self.marked: set[str] = set()
        self.unfolded: set[str] = set()  # keys of the rows of arrays whose runs are shown
        self.range: tuple[str, frozenset[str]] | None = None  # where a range of marks begins, and the marks before it
        self.problem = ""
        self.shown: list[Line] = []
        self._snapshot = Snapshot()
        self._jobs: dict[str, Job] = {}
        self._arrays: dict[str, Array] = {}  # by the keys of their rows
        self._rows = Rows()
        self._asked: tuple[str, str] | None = None
        self._ordering = Ordering(parse_filter([]))
        self._arranged: tuple[object, ...] = ()

    def arrange(self, snapshot: Snapshot) -> bool:
        """Arrange the runs of a snapshot; returns False if nothing has changed."""
        self._snapshot = snapshot
        self._jobs = {name: run.job for name, run in snapshot.runs.items() if run.job is not None}
        asked = (
            tuple(snapshot.lines.values()), self.filter, self.sort, self.group_by, frozenset(self.marked), self.range,
            frozenset(self.unfolded), [(name, job.batch, job.lives) for name, job in self._jobs.items()],
        )  # fmt: skip
        if asked == self._arranged:
            return False
        self._arranged = asked
        if self._asked != (self.filter, self.sort):
            self._asked = (self.filter, self.sort)
            self._ordering = Ordering(self._keep(), self.sort)
        self.shown = self._ordering.of(snapshot.lines)
        suites = {line.suite for line in snapshot.lines.values()}
        self._rows.leave_out(f"{suites.pop()}/" if len(suites) == 1 else "")
        return True

    def _keep(self) -> Callable[[Line], bool]:
        try:
            keep, self.problem = parse_filter([self.filter]), ""
        except (UsageError, ValueError) as error:
            keep, self.problem = parse_filter([]), str(error)
        return keep

    def rows(self) -> list[Row]:
        """A row for each shown run, with headings if they are grouped; otherwise an array is one row until unfolded."""
        if not self.group_by:
            items = with_arrays(self.shown, self._jobs) if self._jobs else self.shown
            self._arrays = {key_of(item): item for item in items if isinstance(item, Array)}
            return self._rows.of_items(items, self.marked, self.unfolded)
        self._arrays = {}
        specs = {name: run.spec for name, run in self._snapshot.runs.items()}
        return self._rows.of_groups(grouped(self.shown, self.group_by, specs), self.marked)

    def fold(self, key: str | None) -> bool:
        """Show or hide the runs of the array whose row this is; False if it is no such row."""
        if key not in self._arrays or key is None:
            return False
        self.unfolded ^= {key}
        return True

    def names_of(self, key: str | None) -> list[str]:
        """The names of the runs that a row stands for: one, those of an array, or none."""
        if key in self._snapshot.lines and key is not None:
            return [key]
        array = self._arrays.get(key or "")
        return [line.name for line in array.group.lines] if array is not None else []

    def row_of(self, name: str) -> str:
        """The key of the row in which a run is: its own, or that of its folded array."""
        folded = (key for key, array in self._arrays.items() if key not in self.unfolded and name in self.names_of(key))
        return next(folded, name)

    def summary(self) -> str:
        """The number of shown runs, the grouping, and the number of marked runs, in words."""
        parts = [f"{len(self.shown)} of {len(self._snapshot.lines)}"] if self.filter else []
        parts += [f"grouped by {self.group_by}"] if self.group_by else []
        parts += [f"{len(self.marked)} marked"] if self.marked else []
        parts += ["v ends the range"] if self.range else []
        return ", ".join(parts)

    @property
    def marked_names(self) -> list[str]:
        """The names of the marked runs that are shown, in their order."""
        return [line.name for line in self.shown if line.name in self.marked]

    def mark_all(self) -> None:
        """Mark all shown runs, or if all are marked, unmark them."""
        names = {line.name for line in self.shown}
        self.marked = set() if names <= self.marked else self.marked | names

    def begin_range(self, name: str | None) -> None:
        """Begin a range of marks at a run."""
        self.range = (name, frozenset(self.marked)) if name in self._snapshot.lines and name is not None else None

    def stretch(self, rows: Sequence[str], to: str | None) -> None:
        """Mark the runs of the range, which reaches from its beginning to the row `to` among `rows`."""
        if self.range is None or to not in rows or self.range[0] not in rows:
            return
        first, last = sorted((rows.index(self.range[0]), rows.index(to)))
        self.marked = {*self.range[1], *(row for row in rows[first : last + 1] if row in self._snapshot.lines)}

    def end_range(self, keep: bool = True) -> None:
        """End the range; its marks stay if `keep`."""
        if self.range is not None and not keep:
            self.marked = set(self.range[1])
        self.range = None

    def sort_by(self, key: str) -> None:
        """Sort by a column; a second time reverses the order."""
        self.sort = f"-{key}" if key and key == self.sort else key
