"""The pane under a table, whose upper edge is moved by keys or with the mouse."""

from __future__ import annotations

from textual import events
from textual.containers import Horizontal
from textual.message import Message

STEP, LEAST, MOST = 5, 10, 85  # percent of the screen


def height_of(share: int, screen: int, both: int, needed: int) -> int:
    """The lines of the pane: its share of the screen, or more if the table above does not need its own.

    `both` are the lines of table and pane together, `needed` those of the whole table with its frame.
    """
    return max(round(share * screen / 100), both - needed)


class Glance(Horizontal):
    """The pane; `share` is its part of the screen's height in percent, more if the table above is short."""

    class Resized(Message):
        """The user has moved the edge."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.share = 0  # set by the screen
        self._is_dragged = False
        self._lines = 0

    def grow(self, by: int) -> None:
        """Make the pane larger or smaller by steps."""
        self._resize(self.share + by * STEP)

    def fit(self, both: int, needed: int) -> None:
        """Take the lines that the table above does not need."""
        height = height_of(self.share, self.screen.size.height, both, needed)
        if height != self._lines:
            self._lines = height
            self.styles.height = height

    def _resize(self, share: int) -> None:
        self.share = min(MOST, max(LEAST, share))
        self.post_message(self.Resized())

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Take hold of the upper edge."""
        if event.screen_y == self.region.y:
            self._is_dragged = True
            self.capture_mouse()
            event.stop()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Move the edge."""
        if self._is_dragged:
            self._resize(round(100 * (self.region.bottom - event.screen_y) / max(1, self.screen.size.height)))

    def on_mouse_up(self) -> None:
        """Let the edge go."""
        if self._is_dragged:
            self._is_dragged = False
            self.release_mouse()
