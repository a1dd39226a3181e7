"""The screen of a race: its arms as curves and as a table, the best structure so far, and what is decided by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal

from core.run.errors import S3Error
from s3tui.report.race_answer import short_name
from s3tui.report.race_view import RaceView
from s3tui.runs.workspace import Workspace
from s3tui.scheduling import race_by_hand
from s3tui.scheduling.races import Race as RaceOf
from s3tui.structures.grid_layout import NO_MAP, GateMap, gate_map
from s3tui.text.sanitize import clean
from s3tui.tui.dialogs.confirm import confirm
from s3tui.tui.dialogs.question import Ask
from s3tui.tui.screens.base import Exportable, Live
from s3tui.tui.screens.run import Run
from s3tui.tui.snapshot import Snapshot
from s3tui.tui.support.background import handed_over
from s3tui.tui.support.keys import PLACES, RUNS, key
from s3tui.tui.support.palette import plain
from s3tui.tui.tables.exported_table import Table
from s3tui.tui.tables.race_rows import COLUMNS, answer, columns_of, curves_of, headline, rows_of, subline, table_of
from s3tui.tui.widgets.foot import Foot
from s3tui.tui.widgets.grid import Grid
from s3tui.tui.widgets.heatmap import SELECTED, HeatMap
from s3tui.tui.widgets.message import MessageLines
from s3tui.tui.widgets.plot import Plot
from s3tui.tui.widgets.text_line import TextLine

MORE = "4"  # arms that are proposed to be added


class Race(Exportable, Live):
    """The screen."""

    TITLE = "race"
    BINDINGS: ClassVar[list[BindingType]] = [
        key("escape,backspace", "back", "Back", "Back to the runs", footer=True, task=PLACES),
        key("enter", "open", "Open", "Open the run of the arm under the cursor", footer=True),
        key("x", "drop", "Drop", "Take the arm out of the race (s3tui race drop)", footer=True, task=RUNS),
        key("K", "keep", "Keep", "Let the arm go on wherever it stands (s3tui race keep)", footer=True, task=RUNS),
        key("plus", "add", "Add", "Add arms, with values drawn by the scores (s3tui race add)", footer=True, task=RUNS),
        key("E", "end", "End", "End the race with what there is (s3tui race end)", footer=True, task=RUNS),
        key("v", "part", "Part", "In a narrow terminal: the curves, or the map of the best structure"),
        key("e", "export", "Export", "Write the plot or the table on screen to a file"),
    ]  # fmt: skip

    def __init__(self, name: str) -> None:
        super().__init__()
        self._race = name
        self._view: RaceView | None = None
        self._map: tuple[object, GateMap] = (None, NO_MAP)

    def compose(self) -> ComposeResult:
        """Headline and compute, the answer, curves beside the map, and the arms."""
        yield TextLine(id="headline")
        yield TextLine(id="subline")
        yield MessageLines(id="race-answer")
        with Horizontal(id="race-top"):
            yield Plot(id="race-curves", empty="no arm has been evaluated yet", classes="-front")
            yield HeatMap(id="race-map")
        grid = Grid(COLUMNS, "reading", id="arms")
        grid.border_title, grid.border_subtitle = "arms", "✎ decided by hand"
        yield grid
        yield Foot()

    def on_mount(self) -> None:
        """Focus the table, and load the race."""
        self.query_one("#arms", Grid).focus()
        self.s3.watch_runs((), self._race)

    def on_screen_resume(self) -> None:
        """Load the race again: another screen may have loaded something else."""
        self.s3.watch_runs((), self._race)

    def exported_as(self, part: str) -> str:
        """A name with that of the race."""
        return f"{self._race} {part}"

    @property
    def plot_on_screen(self) -> Plot:
        """The curves."""
        return self.query_one(Plot)

    @property
    def table_on_screen(self) -> Table | None:
        """The arms."""
        return None if self._view is None else table_of(self._view)

    @property
    def arm(self) -> str:
        """The arm under the cursor; empty before there are any."""
        return self.query_one("#arms", Grid).cursor_key or ""

    # What is shown

    def update_snapshot(self, snapshot: Snapshot) -> None:
        """Show how the race stands now; go back if it is gone."""
        view = snapshot.race
        if view is None or view.race.name != self._race:
            if snapshot.loaded and self._view is not None and self._race not in snapshot.races:
                self.notify(clean(f"{self._race} was deleted"), severity="warning", markup=False)
                self.dismiss()
            return
        if view is self._view:
            return
        self._view = view
        self.query_one("#headline", TextLine).show(headline(view))
        self.query_one("#subline", TextLine).show(subline(view))
        said = self.query_one(MessageLines)
        said.show(answer(view))
        said.display = bool(said.lines)
        self.query_one(Plot).draw(curves_of(view))
        grid, columns = self.query_one("#arms", Grid), columns_of(view)
        if grid.columns != columns:
            grid.show_columns(columns)
        grid.show(rows_of(view))
        self._draw_map(view)

    def _draw_map(self, view: RaceView) -> None:
        heatmap, structure = self.query_one(HeatMap), view.structure
        if structure is None:
            heatmap.empty = "all of the model is trained" if view.leader else "no arm has reached a rung yet"
            heatmap.show(NO_MAP, (), {})
            return
        if structure.candidates != self._map[0]:
            self._map = (structure.candidates, gate_map(structure.candidates))
        chosen = set(structure.selected)
        values = [float(i in chosen) for i in range(len(structure.candidates))]
        heatmap.show(self._map[1], values, dict.fromkeys(chosen, SELECTED))
        heatmap.border_title = plain(f"arm {view.numbers[view.leader]}, {structure.parameters:,} parameters")
        heatmap.border_subtitle = "[] selected"

    # Keys

    def action_back(self) -> None:
        """Back to the runs."""
        self.dismiss()

    @on(Grid.Chosen)
    def action_open(self) -> None:
        """Open the run of an arm."""
        if self._view is not None and self.arm in self._view.race.runs:
            suite = self._view.race.suite
            names = tuple(f"{suite}/{name}" for name in self._view.standing if name in self._view.race.runs)
            self.app.push_screen(Run(f"{suite}/{self.arm}", names))

    def action_part(self) -> None:
        """In a narrow terminal, show the map in place of the curves, or the other way round."""
        self.query_one(Plot).toggle_class("-front")
        self.query_one(HeatMap).toggle_class("-front")

    def action_drop(self) -> None:
        """Take the arm under the cursor out of the race."""
        self._decide_on(race_by_hand.drop)

    def action_keep(self) -> None:
        """Let the arm under the cursor go on wherever it stands."""
        self._decide_on(race_by_hand.keep)

    def action_end(self) -> None:
        """End the race with what there is, after asking."""
        if not self.s3.may_change():
            return
        question = f"{self._race}: what runs is stopped, and the best arms so far are confirmed"
        confirm(
            self, "End the race", question, "end it now",
            lambda: self._decide(lambda race: f"{self._race}: {race_by_hand.end(self.s3.workspace, race)}"),
        )  # fmt: skip

    def action_add(self) -> None:
        """Ask how many arms to add, and add them."""
        if not self.s3.may_change():
            return
        if self._view is not None and not self._view.race.record.ranges:
            self.notify(f"the arms of {clean(self._race)} are a fixed list, as it has no ranges", markup=False)
            return

        def add(number: str | None) -> None:
            if number and number.isdecimal():
                self._decide(lambda race: _added(self.s3.workspace, race, int(number)))

        about = "how many; their values are drawn by the scores so far"
        self.app.push_screen(Ask("Add arms", MORE, about, type="integer"), add)

    def _decide_on(self, how: Callable[[Workspace, RaceOf, str], str]) -> None:
        if arm := self.arm:
            self._decide(lambda race: f"{short_name(arm)}: {how(self.s3.workspace, race, arm)}")

    def _decide(self, how: Callable[[RaceOf], str]) -> None:
        """Carry out a decision in the background, and show what was done or why not."""
        view = self._view
        if view is None or not self.s3.may_change():
            return
        told = handed_over(self, self._tell)

        def work() -> None:
            try:
                told(how(view.race), "information")
            except (S3Error, OSError) as error:
                told(str(error), "warning")

        self.s3.in_background(work)

    def _tell(self, what: str, severity: str) -> None:
        self.notify(clean(what), severity="warning" if severity == "warning" else "information", markup=False)

    def action_export(self) -> None:
        """Export the plot or table on the screen."""
        from s3tui.tui.screens.export import ask_what

        ask_what(self)


def _added(workspace: Workspace, race: RaceOf, number: int) -> str:
    from s3tui.suite.add_arms import add

    names = add(workspace, race, number)
    return f"{len(names)} arms are added: {', '.join(short_name(name) for name in names)}"
