"""What the screens share that show the workspace as it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.screen import Screen

from s3tui.feed import Snapshot

if TYPE_CHECKING:
    from s3tui.tui.app import S3App


class Live(Screen[None]):
    """A screen that follows the snapshots."""

    @property
    def s3(self) -> S3App:
        """The app."""
        return cast("S3App", self.app)

    def update_snapshot(self, snapshot: Snapshot) -> None:
        """Show this; called at most ten times a second, and only while this is the screen that is looked at."""
        raise NotImplementedError

    def on_screen_resume(self) -> None:
        """Show what has happened meanwhile."""
        self.update_snapshot(self.s3.snapshot)
