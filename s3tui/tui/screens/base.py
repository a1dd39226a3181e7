"""What the screens share that show the workspace as it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.screen import Screen

from s3tui.tui.snapshot import Snapshot

if TYPE_CHECKING:
    from s3tui.tui.app import S3App


class Live(Screen[None]):
    """A screen that follows the snapshots."""

    is_composed = False

    def on_mount(self) -> None:
        """Show what is known already."""
        self.is_composed = True
        self.show_latest()

    @property
    def s3(self) -> S3App:
        """The app."""
        return cast("S3App", self.app)

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
