"""The rows of the app's table of runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from s3tui.listing import columns
from s3tui.listing.arrays import Array
from s3tui.listing.columns import COLUMNS, InApp, in_app
from s3tui.listing.grouping import Group
from s3tui.listing.run_row import Line
from s3tui.text.sanitize import clean
from s3tui.text.units import ABSENT, count, points
from s3tui.tui.support.palette import Cell, bar, state, text
from s3tui.tui.widgets.grid import Column, Row

BAR = 4
PLACES = ("name", "task", "model")  # names, and paths whose ends differ
ALWAYS = ("status", "name", "step", "test")  # columns that are shown even where they say the same of all runs
MARK = "▌"
POOR = "!"


@dataclass(frozen=True, slots=True)
class Cells(Mapping[str, Cell]):
    """The cells of a run, formatted on demand, as few of many live runs are on the screen."""

    line: Line
    marked: bool = False
    indent: str = ""
    prefix: str = ""

    def __getitem__(self, key: str) -> Cell:
        if key == "status":
            # The mark is in front of whichever of the two columns comes first.
            return ((MARK, "accent") if self.marked else (" ", ""), *state(self.line.status))
        if key == "name":
            name = text(clean(self.line.name.removeprefix(self.prefix)))
            return ((self.indent, "muted"), *name) if self.indent else name
        return _DRAWN[key](self.line) if key in _DRAWN else _cell(key, self.line)

    def __iter__(self) -> Iterator[str]:
        return (column.name for column, _ in in_app())

    def __len__(self) -> int:
        return len(in_app())


def grid_columns() -> list[Column]:
    """All columns that a table of runs can show, from left to right."""
    return [_grid_column(column, app) for column, app in in_app()]


def shown_columns() -> list[Column]:
    """The columns that are shown by default."""
    return [_grid_column(column, app) for column, app in in_app() if app.shown]


def _grid_column(column: columns.Column, app: InApp) -> Column:
    right = column.kind == "number" if app.right is None else app.right
    return Column(column.name, app.title or column.name, app.width, right, app.rank, column.name in PLACES)


class TellingColumns:
    """Finds the columns that are shown by default: those that do not say the same of all runs.

    With thousands of runs that takes a while, so it remembers of each column what all say, or two runs that differ.
    """

    def __init__(self) -> None:
        self._lines: Mapping[str, Line] = {}
        self._same: dict[str, Any] = {}
        self._differing: dict[str, tuple[str, str]] = {}

    def of(self, lines: Mapping[str, Line]) -> list[Column]:
        """The columns for these lines."""
        changed = [line for name, line in lines.items() if self._lines.get(name) is not line]
        self._lines = dict(lines)
        if len(lines) < 2:
            self._same.clear()
            return shown_columns()
        return [column for column in shown_columns() if column.key in ALWAYS or self._differs(column.key, changed)]

    def _differs(self, key: str, changed: Sequence[Line]) -> bool:
        of = COLUMNS[key].of
        pair = [self._lines[name] for name in self._differing.get(key, ()) if name in self._lines]
        if len(pair) == 2 and of(pair[0]) != of(pair[1]):
            self._same.pop(key, None)  # what changes meanwhile is not looked at
            return True
        if key in self._same and all(of(line) == self._same[key] for line in changed):
            return False
        first = next(iter(self._lines.values()))
        value = of(first)
        other = next((line for line in self._lines.values() if of(line) != value), None)
        if other is None:
            self._same[key] = value
            return False
        self._same.pop(key, None)
        self._differing[key] = (first.name, other.name)
        return True


def row_of(line: Line, marked: bool = False, indent: str = "", prefix: str = "") -> Row:
    """The row of a run; `prefix` is the common beginning of all names, which is not shown."""
    return Row(line.name, Cells(line, marked, indent, prefix))


def heading_of(group: Group) -> Row:
    """The heading of a group: the number of runs and of finished ones, mean and standard deviation of scores."""
    done = f"{group.done}/{len(group.lines)} done"
    score = text(f"{points(group.mean)} ") if group.mean is not None else text(f"{ABSENT} ", "muted")
    spread: Cell = text(f"± {points(group.spread)}", "muted") if group.spread is not None else ()
    cells = {
        "status": ((" ", ""), (done, "muted")), "name": text(clean(f"{group.key} = {group.value}"), "strong"),
        "test": score, "best": spread,
    }  # fmt: skip
    return Row(f"\0{group.key}={group.value}", cells, heading=True)


def key_of(array: Array) -> str:
    """The key of the row of an array, which no run has."""
    return f"\0array {array.batch}"


def row_of_array(array: Array, is_open: bool) -> Row:
    """The row of an array: how many of its runs are at work, wait and are done, and mean and spread of scores."""
    group, total = array.group, len(array.group.lines)
    counts = ((array.running, "running"), (array.waiting, "waiting"), (group.done, "finished"))
    told = ", ".join(f"{number} {what}" for number, what in counts if number)
    name = f"{'▾' if is_open else '▸'} array {group.value}: {total} runs"
    cells = dict(heading_of(group).cells) | {
        "status": ((" ", ""), *state("running" if array.running else "queued")),
        "name": text(clean(name), "strong"),
        "note": text(clean(f"{group.key}: {told}"), "muted"),
        "step": (*bar(group.done / total, BAR), (f" {group.done}/{total} done", "")),
    }
    return Row(key_of(array), cells, heading=True)


class Rows:
    """Makes rows, and keeps those whose content has not changed, so that they are not drawn again."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[Line, bool, str, Row]] = {}
        self._prefix = ""

    def leave_out(self, prefix: str) -> None:
        """Show names without their common prefix."""
        if prefix != self._prefix:
            self._prefix = prefix
            self._rows.clear()

    def of_items(self, items: Iterable[Line | Array], marked: Set[str], unfolded: Set[str]) -> list[Row]:
        """A row for each line and each array, and under one that is unfolded its rows."""
        rows = []
        for item in items:
            if isinstance(item, Line):
                rows.append(self._row(item, item.name in marked, ""))
                continue
            is_open = key_of(item) in unfolded
            rows.append(row_of_array(item, is_open))
            rows += [self._row(line, line.name in marked, "  ") for line in item.group.lines] if is_open else []
        return rows

    def of_groups(self, groups: Sequence[Group], marked: Set[str]) -> list[Row]:
        """A heading for each group, and its rows under it."""
        rows = []
        for group in groups:
            rows.append(heading_of(group))
            rows += [self._row(line, line.name in marked, "  ") for line in group.lines]
        return rows

    def _row(self, line: Line, marked: bool, indent: str) -> Row:
        known = self._rows.get(line.name)
        if known is not None and known[0] is line and known[1] == marked and known[2] == indent:
            return known[3]
        row = row_of(line, marked, indent, self._prefix)
        self._rows[line.name] = (line, marked, indent, row)
        return row


def _progress(line: Line) -> Cell:
    if line.step is None or not line.total:
        return text(ABSENT, "muted")
    steps = f"{line.step}/{line.total}"
    if line.status not in ("running", "quiet", "paused"):
        return text(f"{'':{BAR}} {steps}", "muted")
    return (*bar(line.step / line.total, BAR), (f" {steps}", ""))


def _used(line: Line) -> Cell:
    if line.used is None:
        return text(ABSENT, "muted")
    if line.budget is None:
        return text(count(line.used))
    tone = "bad" if line.used > 1.005 * line.budget else ""
    return ((count(line.used), tone), (f"/{count(line.budget)}", "muted"))


def marked(score: Cell, line: Line) -> Cell:
    """A score, with a mark if its structure is hardly better founded than a random one."""
    return (*score, (POOR, "warn") if line.verdict is not None and line.verdict.is_poor else (" ", ""))


def _test(line: Line) -> Cell:
    return marked(_cell("test", line), line)


def _cell(key: str, line: Line) -> Cell:
    """A cell with its text in the tone of its column."""
    column = COLUMNS[key]
    written = clean(column.written(line))
    return text(written, "muted" if written == ABSENT else column.app.tone(line) if column.app else "")


# Columns that are drawn graphically.
_DRAWN: dict[str, Callable[[Line], Cell]] = {"step": _progress, "used": _used, "test": _test}
