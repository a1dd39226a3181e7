"""One run, from all sides: a tab for each."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Footer, TabbedContent, TabPane

from s3tui.clean import clean
from s3tui.feed import Snapshot, Story
from s3tui.listing import Line
from s3tui.tui.actions import RunActions
from s3tui.tui.keys import key
from s3tui.tui.palette import Cell, bar, state, text
from s3tui.tui.panes.base import Pane
from s3tui.tui.panes.budget import BudgetPane
from s3tui.tui.panes.config import ConfigPane
from s3tui.tui.panes.files import FilesPane
from s3tui.tui.panes.gates import GatesPane
from s3tui.tui.panes.log import LogPane
from s3tui.tui.panes.loss import LossPane
from s3tui.tui.panes.structure import StructurePane
from s3tui.tui.screens.base import Live
from s3tui.tui.table import Table
from s3tui.tui.widgets.line import TextLine
from s3tui.tui.widgets.plot import Plot
from s3tui.units import count, duration, loss, points

PANES: dict[str, type[Pane]] = {
    "Loss": LossPane, "Gates": GatesPane, "Budget": BudgetPane, "Structure": StructurePane, "Log": LogPane,
    "Config": ConfigPane, "Files": FilesPane,
}  # fmt: skip


class Run(RunActions, Live):
    """A run under its name and where it stands."""

    TITLE = "run"
    BINDINGS: ClassVar[list[BindingType]] = [
        key("escape,backspace", "back", "Back", "Back to the runs", footer=True),
        *(key(str(n), f"tab('{name.lower()}')", name) for n, name in enumerate(PANES, 1)),
        key("tab", "next_tab(1)", "Next tab"),
        key("shift+tab", "next_tab(-1)", "Previous tab"),
        key("right_square_bracket", "next_run(1)", "Next run", "The next run of the list"),
        key("left_square_bracket", "next_run(-1)", "Previous run", "The run before it"),
    ]

    def __init__(self, name: str, names: tuple[str, ...] = ()) -> None:
        """`names` are the runs among which the brackets move."""
        super().__init__()
        self._run, self._names = name, names or (name,)

    @property
    def chosen_names(self) -> list[str]:
        """This run."""
        return [self._run]

    def compose(self) -> ComposeResult:
        """Where it stands, and the tabs."""
        yield TextLine(id="headline")
        yield TextLine(id="subline")
        with TabbedContent():
            for number, (name, pane) in enumerate(PANES.items(), 1):
                with TabPane(f"{number} {name}", id=name.lower()):
                    yield pane()
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        """Ask for the story; the first tab has the keys."""
        self.s3.watch_runs([self._run])
        self.pane.take_focus()

    def on_screen_resume(self) -> None:
        """Another screen may have asked for other stories."""
        self.s3.watch_runs(self._wanted())

    @property
    def pane(self) -> Pane:
        """The tab that is looked at."""
        active = self.query_one(TabbedContent).active_pane
        assert active is not None
        return active.query_one(Pane)

    def exported_as(self, part: str) -> str:
        """By this run."""
        return f"{self._run} {part}"

    @property
    def plot_on_screen(self) -> Plot | None:
        """That of the tab."""
        return self.pane.plot_on_screen

    @property
    def table_on_screen(self) -> Table | None:
        """That of the tab."""
        return self.pane.table_on_screen

    def _wanted(self) -> list[str]:
        return [self._run]

    def update_snapshot(self, snapshot: Snapshot) -> None:
        """Show the run as it is now; where it is gone, go back."""
        run, line = snapshot.runs.get(self._run), snapshot.lines.get(self._run)
        if run is None or line is None:
            if snapshot.loaded:
                self.notify(clean(f"{self._run} is gone"), severity="warning", markup=False)
                self.dismiss()
            return
        story = snapshot.stories.get(self._run, Story())
        self.query_one("#headline", TextLine).show(_headline(line))
        self.query_one("#subline", TextLine).show(_subline(line, story))
        self.pane.show(run, line, story)

    @on(TabbedContent.TabActivated)
    def _show_tab(self) -> None:
        if self.is_whole:
            self.show_latest()
            self.pane.take_focus()

    def action_tab(self, name: str) -> None:
        """Look at another side."""
        self.query_one(TabbedContent).active = name

    def action_next_tab(self, by: int) -> None:
        """Look at the side beside this one."""
        names = [name.lower() for name in PANES]
        tabs = self.query_one(TabbedContent)
        tabs.active = names[(names.index(tabs.active) + by) % len(names)]

    def action_next_run(self, by: int) -> None:
        """Look at the run beside this one, from the same side."""
        place = self._names.index(self._run) + by
        if 0 <= place < len(self._names):
            self._run = self._names[place]
            self.s3.watch_runs(self._wanted())
            self.update_snapshot(self.s3.snapshot)

    def action_back(self) -> None:
        """Back to the runs."""
        self.dismiss()


def _headline(line: Line) -> list[Cell]:
    cells = [state(line.status), text("  "), text(clean(line.name), "strong")]
    for told in (line.task, line.method, line.model):
        cells.append(text(f"  {clean(told)}", "muted"))
    if line.note:
        cells.append(text(f"  {clean(line.note)}", "bad" if line.status in ("failed", "dead", "damaged") else "muted"))
    return cells


def _subline(line: Line, story: Story) -> list[Cell]:
    cells: list[Cell] = []
    if line.step is not None and line.total:
        cells += [text(f"{line.phase} "), bar(line.step / line.total, 12), text(f" {line.step:,}/{line.total:,}  ")]
    named = [
        ("train", loss(line.train_loss)), ("val", loss(line.validation_loss)), ("score", points(line.score)),
        ("best", points(line.best)), ("budget", f"{count(line.used)}/{count(line.budget)}"),
        ("elapsed", duration(line.seconds)), ("left", duration(line.left)),
    ]  # fmt: skip
    for name, value in named:
        if value not in ("-", "-/-"):
            cells += [text(f"{name} ", "muted"), text(f"{value}  ")]
    if story.history.skipped:
        cells.append(text(f"{story.history.skipped} damaged lines skipped", "warn"))
    return cells
