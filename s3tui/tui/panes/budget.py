"""The Budget tab: the parameters of a search over time, by delta and site, and the candidates near the threshold."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container

from s3tui.runs.history import Frame
from s3tui.structures.grid_layout import short_deltas
from s3tui.structures.selection_history import Share, near_cut, shares
from s3tui.text.sanitize import clean
from s3tui.text.units import count
from s3tui.tui.charts import figures
from s3tui.tui.charts.figures import View
from s3tui.tui.panes.gate_pane_base import GatedPane
from s3tui.tui.panes.loss import MainPlot
from s3tui.tui.support.keys import key
from s3tui.tui.support.palette import Cell, bar, text
from s3tui.tui.widgets.grid import Column, Grid, Row
from s3tui.tui.widgets.message import MessageLines
from s3tui.tui.widgets.plot import Plot

BAR = 10
SAMPLED = "sampled: half-open gates exceed the budget"
NEAR = 8  # candidates on either side of the threshold
SHARES = (
    Column("name", "", 16), Column("count", "count", 7, right=True), Column("parameters", "params", 8, right=True),
    Column("share", "share", 5, right=True), Column("bar", "", BAR, rank=1),
)  # fmt: skip
CUT = (
    Column("name", "candidate", 0), Column("p", "p", 6, right=True), Column("parameters", "params", 8, right=True),
    Column("note", "", 7, rank=1),
)  # fmt: skip


class BudgetPane(GatedPane):
    """The tab."""

    PARTS = ("expected", "shares", "cut", "shift")
    BINDINGS: ClassVar[list[BindingType]] = [
        key("v", "part", "Part", "To the next part: parameters, shares, the cut, the shift", footer=True),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._drawn: object = None

    def compose(self) -> ComposeResult:
        """A summary of the selection, and four parts."""
        yield MessageLines()
        with Container(classes="parts"):
            yield MainPlot(id="expected", classes="part")
            yield _grid("shares", SHARES, "share of each delta and site")
            yield MainPlot(id="shift", classes="part")
            yield _grid("cut", CUT, "near the cut")

    def draw(self) -> None:
        """Draw what has changed."""
        history = self.history
        view = View()
        expected = self.query_one("#expected", Plot)
        expected.draw(figures.expected(history, view), view)
        expected.border_subtitle = SAMPLED if self._is_soft else ""
        self.query_one("#shift", Plot).draw(figures.shift(history, view), view)
        for grid in self.query(Grid):
            grid.empty = self.empty
        self._draw_messages()
        frame, selected = self.latest, self.selected
        drawn = (frame, selected, self.map)
        if drawn != self._drawn:
            self._drawn = drawn
            self.query_one("#shares", Grid).show([] if selected is None else list(self._shares(selected)))
            cut = [] if frame is None or selected is None else list(self._cut(frame, selected))
            self.query_one("#cut", Grid).show(cut)

    @property
    def _is_soft(self) -> bool:
        """Whether gates are between open and closed, so that what is sampled is above the budget."""
        search = self.run.spec.get("search", {}) if self.run is not None else {}
        return bool(self.history.curve("search", "sampled")) and search.get("gates") == "soft"

    @property
    def _spent(self) -> int:
        return sum(self.candidates[i].parameters for i in self.selected or ())

    def _draw_messages(self) -> None:
        selected, state, history = self.selected, self.history.state, self.history
        if selected is None:
            self.query_one(MessageLines).show([])
            return
        said = "selected" if history.selected is not None else "would be selected now"
        first = [text(f"{len(selected)} of {len(self.candidates)} ", "strong"), text(f"{said}  ", "muted")]
        first += _amount(self._spent, state.budget)
        shift = history.curve("search", "shift")
        expected = history.curve("search", "expected")
        second: list[Cell] = []
        if expected:
            second += [text("expected ", "muted"), *_amount(expected.y[-1], state.budget)]
        if shift:
            second += [text("shift ", "muted"), text(f"{shift.y[-1]:+.3f}  ")]
        note = "" if history.selected is not None else self.rule.note(self.latest)
        second.append(text(note or str(self.rule), "muted"))
        self.query_one(MessageLines).show([first, second])

    def _shares(self, selected: frozenset[int]) -> Iterator[Row]:
        total = max(1, self._spent)
        short = short_deltas(c.delta for c in self.candidates)
        for kind, by in (
            ("delta", shares(self.candidates, selected, lambda c: short[c.delta])),
            ("site", shares(self.candidates, selected, lambda c: c.site)),
        ):
            yield Row(kind, {"name": text(f"by {kind}", "muted")}, heading=True)
            for name, share in by.items():
                yield _share_row(f"{kind} {name}", name, share, total)

    def _cut(self, frame: Frame, selected: frozenset[int]) -> Iterator[Row]:
        last_in, first_out = near_cut(frame, selected, NEAR)
        left = self.rule.budget - self._spent
        yield Row("in", {"name": text("last ones in", "muted")}, heading=True)
        yield from (self._cut_row(frame, i, "") for i in reversed(last_in))
        room = f"first ones out: {count(left)} left" if math.isfinite(left) else "first ones out"
        yield Row("out", {"name": text(room, "muted")}, heading=True)
        yield from (
            self._cut_row(frame, i, "no room" if self.candidates[i].parameters > left else "") for i in first_out
        )

    def _cut_row(self, frame: Frame, index: int, note: str) -> Row:
        cells = {
            "name": text(clean(self.names[index])), "p": text(f"{frame.p[index]:.4f}"),
            "parameters": text(count(self.candidates[index].parameters)), "note": text(note, "muted"),
        }  # fmt: skip
        return Row(str(index), cells)


def _grid(name: str, columns: tuple[Column, ...], title: str) -> Grid:
    grid = Grid(columns, "nothing is selected yet", id=name)
    grid.add_class("part")
    grid.border_title = title
    return grid


def _amount(parameters: float, budget: float | None) -> list[Cell]:
    if budget is None:
        return [text(count(parameters)), text(" parameters, no budget  ", "muted")]
    share = parameters / budget if budget else 0.0
    return [
        bar(share, BAR), text(f" {count(parameters)}"), text(f" of {count(budget)} parameters, {share:.1%}  ", "muted"),
    ]  # fmt: skip


def _share_row(key: str, name: str, share: Share, total: int) -> Row:
    part = share.parameters / total
    tone = "" if share.selected else "muted"
    cells = {
        "name": text(clean(name), tone), "count": text(f"{share.selected}/{share.candidates}", tone),
        "parameters": text(count(share.parameters), tone), "share": text(f"{part:.0%}", tone), "bar": bar(part, BAR),
    }  # fmt: skip
    return Row(key, cells)
