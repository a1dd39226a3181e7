"""Base class of the screens with tabs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.widgets import TabPane

from s3tui.tui.panes.base import Pane
from s3tui.tui.screens.base import Live
from s3tui.tui.screens.run_actions import RunActions
from s3tui.tui.support.keys import PLACES, key
from s3tui.tui.tables.exported_table import Table
from s3tui.tui.widgets.foot import Foot
from s3tui.tui.widgets.plot import Plot
from s3tui.tui.widgets.steady_tabs import SteadyTabs


def tab_keys(names: Mapping[str, type[Pane]]) -> Iterator[Binding]:
    """The keys of a screen with these tabs."""
    yield key("escape,backspace", "back", "Back", "Back to the runs", footer=True, task=PLACES)
    for number, name in enumerate(names, 1):
        yield key(str(number), f"tab('{name.lower()}')", name, task=PLACES)
    yield key("tab", "next_tab(1)", "Next tab", task=PLACES)
    yield key("shift+tab", "next_tab(-1)", "Previous tab", task=PLACES)


class Tabbed(RunActions, Live):
    """A screen with a tab for each of `PANES`."""

    PANES: ClassVar[Mapping[str, type[Pane]]] = {}

    def compose_tabs(self) -> ComposeResult:
        """The tabs, and the footer."""
        with SteadyTabs():
            for number, (name, pane) in enumerate(self.PANES.items(), 1):
                with TabPane(f"{number} {name}", id=name.lower()):
                    yield pane()
        yield Foot()

    def on_mount(self) -> None:
        """Focus the first tab."""
        self.pane.take_focus()

    @property
    def pane(self) -> Pane:
        """The active tab."""
        active = self.query_one(SteadyTabs).active_pane
        assert active is not None
        return active.query_one(Pane)

    @property
    def plot_on_screen(self) -> Plot | None:
        """That of the tab."""
        return self.pane.plot_on_screen

    @property
    def table_on_screen(self) -> Table | None:
        """That of the tab."""
        return self.pane.table_on_screen

    @on(SteadyTabs.TabActivated)
    def _show_tab(self) -> None:
        if self.is_whole:
            self.show_latest()
            self.pane.take_focus()

    def action_tab(self, name: str) -> None:
        """Switch to a tab."""
        self.query_one(SteadyTabs).active = name

    def action_next_tab(self, by: int) -> None:
        """Switch to the next or previous tab."""
        names = [name.lower() for name in self.PANES]
        tabs = self.query_one(SteadyTabs)
        tabs.active = names[(names.index(tabs.active) + by) % len(names)]

    def action_back(self) -> None:
        """Back to the runs."""
        self.dismiss()
