"""What screens have in common: those that follow the workspace, and those that show what can be exported."""

from __future__ import annotations

from textual.screen import Screen

from s3tui.tui.host import Hosted
from s3tui.tui.snapshot import Snapshot
from s3tui.tui.tables.exported_table import Table
from s3tui.tui.widgets.plot import Plot


class Live(Hosted, Screen[None]):
    """A screen that follows the snapshots."""

    is_composed = False

    def on_mount(self) -> None:
        """Show what is known already."""
        self.is_composed = True
        self.show_latest()

    def update_snapshot(self, snapshot: Snapshot) -> None:
        """Show this; called at most ten times a second, and only while this is the screen that is looked at."""
        raise NotImplementedError

    @property
    def is_whole(self) -> bool:
        """Whether all its parts are there: a message may come before they are, or while they are taken away."""
        return self.is_composed and self.is_attached and not self._pruning and bool(self.children)

    def show_latest(self) -> None:
        """Show the latest snapshot, where there is something to show it on: not yet at first, no more at the end."""
        if self.is_whole:
            self.update_snapshot(self.s3.snapshot)

    def on_screen_resume(self) -> None:
        """Show what has happened meanwhile."""
        self.show_latest()


class Exportable(Screen[None]):
    """A screen whose plot or table can be written to a file."""

    def exported_as(self, part: str) -> str:
        """What a plot or table of the screen is called, for the names of files."""
        raise NotImplementedError

    @property
    def plot_on_screen(self) -> Plot | None:
        """The plot that `export` writes; None where there is none."""
        raise NotImplementedError

    @property
    def table_on_screen(self) -> Table | None:
        """The table that `export` writes; None where there is none."""
        raise NotImplementedError
