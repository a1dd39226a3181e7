"""The base class of tables and logs: the keys with which one moves in them and searches them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.message import Message

from s3tui.tui.support.keys import FIND, key, move
from s3tui.tui.support.palette import Toned

FAR = 10**9  # lines: further than any list is long


class Walked(Toned):
    """Lines among which one moves with the arrows or as in vi and less."""

    BINDINGS: ClassVar[list[BindingType]] = [
        move("up,k", "move(-1)", "Up"),
        move("down,j", "move(1)", "Down"),
        move("ctrl+u", "page(-0.5)", "Half a page up"),
        move("ctrl+d", "page(0.5)", "Half a page down"),
        move("pageup,ctrl+b", "page(-1)", "Page up"),
        move("pagedown,ctrl+f", "page(1)", "Page down"),
        move("g", "first_at_second", "First (g twice)"),
        move("home", f"move({-FAR})", "First"),
        move("end,G", f"move({FAR})", "Last"),
        key("slash", "search", "Search", "Search for a text", task=FIND),
        key("n", "find(1)", "Next", "Next line with the text", task=FIND),
        key("N", "find(-1)", "Previous", "The line with the text before it", task=FIND),
    ]
    SEEKS: ClassVar[int] = 1  # the direction of the first search

    class SearchAsked(Message):
        """The user wants to search."""

        def __init__(self, walked: Walked) -> None:
            self.walked = walked
            super().__init__()

    sought = ""
    _pressed_g = False

    @property
    def texts(self) -> Iterable[str]:
        """The text of each line."""
        raise NotImplementedError

    @property
    def to_copy(self) -> tuple[str, str]:
        """What can be copied from here: its name, and its text."""
        raise NotImplementedError

    @property
    def place(self) -> int:
        """The line of the cursor, or the uppermost one."""
        raise NotImplementedError

    @place.setter
    def place(self, to: int) -> None:
        raise NotImplementedError

    def action_move(self, by: int) -> None:
        """Move by lines."""
        self.place = self.place + by

    def action_page(self, by: float) -> None:
        """Move by pages."""
        lines = max(1, round(abs(by) * (self.size.height - 2)))
        self.action_move(lines if by > 0 else -lines)

    def on_key(self, event: events.Key) -> None:
        """Forget a single g."""
        if event.key != "g":
            self._pressed_g = False

    def action_first_at_second(self) -> None:
        """Move to the first line when g is pressed twice."""
        if self._pressed_g:
            self.action_move(-FAR)
        self._pressed_g = not self._pressed_g

    def action_search(self) -> None:
        """Ask for the text to search for."""
        self.post_message(self.SearchAsked(self))

    def seek(self, sought: str) -> None:
        """Search for a text, upper or lower case; an empty text ends the search."""
        self.sought = sought.casefold()
        self.refresh()
        self.action_find(self.SEEKS)

    def action_find(self, by: int) -> None:
        """Move to the next or previous line with the text; after the last one the first follows."""
        if not self.sought:
            return
        places = [place for place, text in enumerate(self.texts) if self.sought in text.casefold()]
        if not places:
            self.notify(f"nothing has {self.sought!r}", severity="warning", markup=False)
            return
        further = [place for place in places if (place > self.place if by > 0 else place < self.place)]
        self.place = (further or places)[0 if by > 0 else -1]
