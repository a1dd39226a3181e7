"""The screen of one run, with tabs."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from s3tui.listing.columns import tested, validated
from s3tui.listing.run_row import Line
from s3tui.text.sanitize import clean
from s3tui.text.shorten import shortened
from s3tui.text.units import ABSENT, count, duration, loss, points
from s3tui.tui.panes.base import Pane
from s3tui.tui.panes.budget import BudgetPane
from s3tui.tui.panes.config import ConfigPane
from s3tui.tui.panes.files import FilesPane
from s3tui.tui.panes.gates import GatesPane
from s3tui.tui.panes.log import LogPane
from s3tui.tui.panes.loss import LossPane
from s3tui.tui.panes.structure import StructurePane
from s3tui.tui.screens.tabbed import Tabbed, tab_keys
from s3tui.tui.snapshot import RunDetail, Snapshot
from s3tui.tui.support.keys import PLACES, key
from s3tui.tui.support.palette import Cell, bar, state, text
from s3tui.tui.widgets.text_line import TextLine

PANES: dict[str, type[Pane]] = {
    "Loss": LossPane, "Gates": GatesPane, "Budget": BudgetPane, "Structure": StructurePane, "Log": LogPane,
    "Config": ConfigPane, "Files": FilesPane,
}  # fmt: skip
STATE_ROOM = 14  # cells of the headline that a state takes


class Run(Tabbed):
    """The screen: name and status of the run, and the tabs."""

    TITLE = "run"
    PANES = PANES
    BINDINGS: ClassVar[list[BindingType]] = [
        *tab_keys(PANES),
        key("right_square_bracket", "next_run(1)", "Next run", "The next run of the list", task=PLACES),
        key("left_square_bracket", "next_run(-1)", "Previous run", "The run before it", task=PLACES),
    ]

    def __init__(self, name: str, names: tuple[str, ...] = ()) -> None:
        """`names` are the runs among which the keys [ and ] move."""
        super().__init__()
        self._run, self._names = name, names or (name,)

    @property
    def chosen_names(self) -> list[str]:
        """This run."""
        return [self._run]

    def compose(self) -> ComposeResult:
        """Name and status, and the tabs."""
        yield TextLine(id="headline")
        yield TextLine(id="subline")
        yield from self.compose_tabs()

    def on_mount(self) -> None:
        """Load the details of the run."""
        self.s3.watch_runs(self._wanted())

    def on_screen_resume(self) -> None:
        """Load the details of the run again: another screen may have loaded others."""
        self.s3.watch_runs(self._wanted())

    def exported_as(self, part: str) -> str:
        """A name with that of the run."""
        return f"{self._run} {part}"

    def _wanted(self) -> list[str]:
        return [self._run]

    def update_snapshot(self, snapshot: Snapshot) -> None:
        """Show the current state of the run; go back if it was deleted."""
        run, line = snapshot.runs.get(self._run), snapshot.lines.get(self._run)
        if run is None or line is None:
            if snapshot.loaded:
                self.notify(clean(f"{self._run} was deleted"), severity="warning", markup=False)
                self.dismiss()
            return
        detail = snapshot.details.get(self._run, RunDetail())
        self.query_one("#headline", TextLine).show(_headline(line, self.app.size.width))
        self.query_one("#subline", TextLine).show(_subline(line, detail))
        self.pane.show(run, line, detail)

    def action_next_run(self, by: int) -> None:
        """Show the next or previous run, in the same tab."""
        place = self._names.index(self._run) + by
        if 0 <= place < len(self._names):
            self._run = self._names[place]
            self.s3.watch_runs(self._wanted())
            self.update_snapshot(self.s3.snapshot)


def _headline(line: Line, width: int) -> list[Cell]:
    """State and name, which leaves a third of the width to a note, and then what else there is room for."""
    room = width - STATE_ROOM - min(len(line.note), width // 3)
    cells = [state(line.status), text("  "), text(shortened(clean(line.name), room), "strong")]
    for part in (line.task, line.method, line.model):
        cells.append(text(f"  {clean(part)}", "muted"))
    if line.note:
        cells.append(text(f"  {clean(line.note)}", "bad" if line.status in ("failed", "dead", "damaged") else "muted"))
    return cells


def _subline(line: Line, detail: RunDetail) -> list[Cell]:
    cells: list[Cell] = []
    if line.step is not None and line.total:
        cells += [text(f"{line.phase} "), bar(line.step / line.total, 12), text(f" {line.step:,}/{line.total:,}  ")]
    if detail.history.skipped:  # before what may reach beyond the edge
        cells.append(text(f"{detail.history.skipped} damaged lines skipped  ", "warn"))
    named = [
        ("test", points(tested(line))), ("search", line.verdict.word if line.verdict else ABSENT),
        ("val", points(validated(line))), ("best val", points(line.best)),
        ("loss", loss(line.train_loss)), ("val loss", loss(line.validation_loss)),
        ("budget", f"{count(line.used)}/{count(line.budget)}"),
        ("time", duration(line.seconds)), ("left", duration(line.left)),
        ("search of", clean(detail.history.state.search_from) or "-"),
    ]  # fmt: skip
    for name, value in named:
        if value not in (ABSENT, f"{ABSENT}/{ABSENT}"):
            cells += [text(f"{name} ", "muted"), text(f"{value}  ")]
    return cells
