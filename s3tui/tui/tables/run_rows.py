"""Runs as rows of the table: which columns there are, and how a value is written in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from s3tui.listing.grouping import Group
from s3tui.listing.run_row import Line
from s3tui.text.sanitize import clean
from s3tui.text.units import ABSENT, count, duration, loss, points
from s3tui.tui.support.palette import Cell, bar, state, text
from s3tui.tui.widgets.grid import Column, Row

BAR = 8
# By importance, where room is short: what it is, how it stands, how far it is, how well it does.
COLUMNS = (
    Column("status", "status", 11, rank=1),
    Column("name", "run", 0, rank=0),
    Column("task", "task", 14, rank=9),
    Column("method", "method", 8, rank=7),
    Column("phase", "phase", 7, rank=6),
    Column("step", "step", 22, rank=3),
    Column("train_loss", "train", 7, right=True, rank=8),
    Column("validation_loss", "val", 7, right=True, rank=10),
    Column("score", "score", 7, right=True, rank=2),
    Column("best", "best", 7, right=True, rank=5),
    Column("used", "budget used", 16, right=True, rank=11),
    Column("device", "device", 8, rank=13),
    Column("seconds", "elapsed", 8, right=True, rank=12),
    Column("left", "left", 8, right=True, rank=4),
)
MORE = (
    Column("suite", "suite", 12, rank=20),
    Column("model", "model", 18, rank=21),
    Column("seed", "seed", 5, right=True, rank=22),
    Column("parameters", "trained", 10, right=True, rank=23),
    Column("priority", "prio", 5, right=True, rank=24),
    Column("tags", "tags", 12, rank=25),
    Column("note", "note", 30, rank=26),
)
MARK = "▌"


@dataclass(frozen=True)
class Cells(Mapping[str, Cell]):
    """The cells of a run, each written when it is asked for: of many runs that live, few are on the screen."""

    line: Line
    marked: bool = False
    indent: str = ""
    prefix: str = ""

    def __getitem__(self, key: str) -> Cell:
        if key == "status":
            # The mark stands before whichever of the two comes first.
            return ((MARK, "accent") if self.marked else (" ", ""), *state(self.line.status))
        if key == "name":
            name = text(clean(self.line.name.removeprefix(self.prefix)))
            return ((self.indent, "muted"), *name) if self.indent else name
        return _WRITTEN[key](self.line)

    def __iter__(self) -> Iterator[str]:
        return iter(("status", "name", *_WRITTEN))

    def __len__(self) -> int:
        return 2 + len(_WRITTEN)


def row_of(line: Line, marked: bool = False, indent: str = "", prefix: str = "") -> Row:
    """The row of a run; `prefix` is what all names begin with, and is not shown."""
    return Row(line.name, Cells(line, marked, indent, prefix))


def heading_of(group: Group) -> Row:
    """The row above a group: how many runs, how many are done, their mean score and its spread."""
    done = f"{group.done}/{len(group.lines)} done"
    score = text(points(group.mean)) if group.mean is not None else text(ABSENT, "muted")
    spread: Cell = text(f"± {points(group.spread)}", "muted") if group.spread is not None else ()
    cells = {
        "status": ((" ", ""), (done, "muted")), "name": text(clean(f"{group.key} = {group.value}"), "strong"),
        "score": score, "best": spread,
    }  # fmt: skip
    return Row(f"\0{group.key}={group.value}", cells, heading=True)


class Rows:
    """Makes rows of lines, and keeps those whose line has not changed, so that nothing of them is drawn again."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[Line, bool, str, Row]] = {}
        self._prefix = ""

    def leave_out(self, prefix: str) -> None:
        """Show names without what all of them begin with."""
        if prefix != self._prefix:
            self._prefix = prefix
            self._rows.clear()

    def of(self, lines: Sequence[Line], marked: Set[str]) -> list[Row]:
        """A row for each line."""
        return [self._row(line, line.name in marked, "") for line in lines]

    def of_groups(self, groups: Sequence[Group], marked: Set[str]) -> list[Row]:
        """A heading for each group, and its rows under it."""
        rows = []
        for group in groups:
            rows.append(heading_of(group))
            rows += [self._row(line, line.name in marked, "  ") for line in group.lines]
        return rows

    def _row(self, line: Line, marked: bool, indent: str) -> Row:
        known = self._rows.get(line.name)
        if known is not None and known[0] is line and known[1:3] == (marked, indent):
            return known[3]
        row = row_of(line, marked, indent, self._prefix)
        self._rows[line.name] = (line, marked, indent, row)
        return row


def _progress(line: Line) -> Cell:
    if line.step is None or not line.total:
        return text(ABSENT, "muted")
    steps = f"{line.step:,}/{line.total:,}"
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


def _number(write: Callable[[float | None], str], value: float | None, tone: str = "") -> Cell:
    written = write(value)
    return text(written, "muted" if written == ABSENT else tone)


def _best(line: Line) -> Cell:
    return _number(points, line.best)


_WRITTEN: dict[str, Callable[[Line], Cell]] = {
    "task": lambda line: text(clean(line.task)),
    "method": lambda line: text(clean(line.method)),
    "phase": lambda line: text(clean(line.phase) or ABSENT, "" if line.phase else "muted"),
    "step": _progress,
    "train_loss": lambda line: _number(loss, line.train_loss),
    "validation_loss": lambda line: _number(loss, line.validation_loss),
    "score": lambda line: _number(points, line.score, "strong" if line.status == "finished" else ""),
    "best": _best,
    "used": _used,
    "device": lambda line: text(clean(line.device) or ABSENT, "" if line.device else "muted"),
    "seconds": lambda line: _number(duration, line.seconds),
    "left": lambda line: _number(duration, line.left),
    "suite": lambda line: text(clean(line.suite)),
    "model": lambda line: text(clean(line.model)),
    "seed": lambda line: text(ABSENT if line.seed is None else str(line.seed)),
    "parameters": lambda line: _number(count, line.parameters),
    "priority": lambda line: text(str(line.priority), "" if line.priority else "muted"),
    "tags": lambda line: text(clean(" ".join(line.tags))),
    "note": lambda line: text(clean(line.note), "muted"),
}
