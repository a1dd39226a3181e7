"""Base classes of screens: live ones, and those with a plot or table to export."""

from __future__ import annotations

from textual.screen import Screen

from s3tui.tui.host import Hosted
from s3tui.tui.snapshot import Snapshot
from s3tui.tui.tables.exported_table import Table
from s3tui.tui.widgets.plot import Plot


class Live(Hosted, Screen[None]):
    """A screen that is updated with every snapshot."""

    is_composed = False

    def on_mount(self) -> None:
        """Show the latest snapshot."""
        self.is_composed = True
        self.show_latest()

    def update_snapshot(self, snapshot: Snapshot) -> None:
        """Show a snapshot; called at most ten times a second, and only while this screen is in front."""
        raise NotImplementedError

    @property
    def is_whole(self) -> bool:
        """Whether all widgets are mounted: a message may arrive before that, or while they are removed."""
        return self.is_composed and self.is_attached and not self._pruning and bool(self.children)

    def show_latest(self) -> None:
        """Show the latest snapshot if the widgets are mounted."""
        if self.is_whole:
            self.update_snapshot(self.s3.snapshot)

    def on_screen_resume(self) -> None:
        """Show what has changed meanwhile."""
        self.show_latest()


class Exportable(Screen[None]):
    """A screen with a plot or table that can be exported to a file."""

    def exported_as(self, part: str) -> str:
        """The name of a plot or table of the screen, for file names."""
        raise NotImplementedError

    @property
    def plot_on_screen(self) -> Plot | None:
        """The plot that `export` writes, or None."""
        raise NotImplementedError

    @property
    def table_on_screen(self) -> Table | None:
        """The table that `export` writes, or None."""
        raise NotImplementedError
