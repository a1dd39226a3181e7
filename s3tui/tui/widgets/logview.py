"""A widget for the end of a log, with follow, wrap and search. Its lines have no escape sequences (`clean`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from rich.cells import chop_cells, set_cell_size
from rich.segment import Segment
from textual.binding import BindingType
from textual.geometry import Size
from textual.strip import Strip

from s3tui.tui.support.keys import key
from s3tui.tui.support.palette import plain
from s3tui.tui.widgets.walked import Walked


class LogView(Walked, can_focus=True):
    """Shows lines, and stays at the end while `follow` is on."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("f", "toggle_follow", "Follow", "Stay at the end of the log", footer=True),
        key("w", "toggle_wrap", "Wrap", "Break long lines", footer=True),
    ]
    SEEKS: ClassVar[int] = -1  # from the end upwards

    def __init__(self, id: str | None = None, empty: str = "no output yet", can_focus: bool = True) -> None:
        super().__init__(id=id)
        self.can_focus = can_focus
        self.follow, self.wrap = True, False
        self._empty = empty
        self._lines: Sequence[str] = ()
        self._shown: list[str] = []

    def show(self, lines: Sequence[str]) -> None:
        """Show these lines; does nothing if they are the same object as before."""
        if lines is self._lines:
            return
        self._lines = lines
        self._lay_out()

    @property
    def texts(self) -> Sequence[str]:
        """The lines."""
        return self._shown

    @property
    def place(self) -> int:
        """The uppermost line."""
        return round(self.scroll_offset.y)

    @place.setter
    def place(self, to: int) -> None:
        last = max(0, len(self._shown) - self.size.height)
        self.follow = to >= last and to > self.place
        self.scroll_to(y=min(max(0, to), last), animate=False, immediate=True)
        self._show_state()

    def action_find(self, by: int) -> None:
        """Stay at what was found."""
        super().action_find(by)
        if self.sought:
            self.follow = False
            self._show_state()

    @property
    def to_copy(self) -> tuple[str, str]:
        """The lines on screen."""
        return "lines", "\n".join(self._shown[self.place : self.place + self.size.height])

    def action_toggle_follow(self) -> None:
        """Switch following on or off."""
        self.follow = not self.follow
        self._lay_out()

    def action_toggle_wrap(self) -> None:
        """Switch wrapping of long lines on or off."""
        self.wrap = not self.wrap
        self._lay_out()

    def on_mouse_scroll_up(self) -> None:
        """Stop following when the user scrolls up."""
        self.follow = False
        self._show_state()

    def on_resize(self) -> None:
        """Wrap the lines again."""
        self._lay_out()

    def _lay_out(self) -> None:
        width = max(1, self.size.width)
        self._shown = list(self._wrapped(width)) if self.wrap else list(self._lines)
        widest = width if self.wrap else max((len(line) for line in self._shown), default=1)
        self.virtual_size = Size(widest, len(self._shown))
        if self.follow:
            self.scroll_to(y=max(0, len(self._shown) - self.size.height), animate=False, immediate=True)
        self._show_state()
        self.refresh()

    def _wrapped(self, width: int) -> Iterator[str]:
        for line in self._lines:
            yield from chop_cells(line, width) or [""]

    def _show_state(self) -> None:
        parts = [f"{len(self._lines):,} lines"] if self._lines else []
        parts += ["following"] if self.follow and self.can_focus else []
        parts += ["wrapped"] if self.wrap else []
        parts += [f"/{self.sought}"] if self.sought else []
        self.border_subtitle = plain(", ".join(parts))

    def render_line(self, y: int) -> Strip:
        """Draw one line of the screen."""
        left, top = self.scroll_offset
        width, base = self.size.width, self.base
        if not self._lines:
            text = self._empty.center(width) if y == max(0, self.size.height // 2 - 1) else ""
            return Strip([Segment(set_cell_size(text, width), base + self.tone("muted"))], width)
        place = round(top) + y
        if place >= len(self._shown):
            return Strip.blank(width, base)
        line = self._shown[place]
        found = bool(self.sought) and self.sought in line.casefold()
        style = base + self.tone("accent") if found else base
        return Strip([Segment(line, style)]).crop_extend(round(left), round(left) + width, base)
