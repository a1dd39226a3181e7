"""A time slider over the steps of a search."""

from __future__ import annotations

from textual import events
from textual.message import Message
from textual.widgets import Static

from s3tui.tui.support.palette import Cell, content, text


class Scrubber(Static):
    """Shows the current position; a click chooses another one."""

    class Scrubbed(Message):
        """The user chose another position, as a `share` of the length."""

        def __init__(self, share: float) -> None:
            self.share = share
            super().__init__()

    def __init__(self, id: str | None = None) -> None:
        super().__init__("", id=id, markup=False)
        self._shown: tuple[float, str, str] = (0.0, "", "")
        self._bar = (0, 0)

    def show(self, share: float, moment: str, mode: str) -> None:
        """Show the position `share`; `moment` is its label, `mode` the label of the playback mode."""
        if (share, moment, mode) != self._shown:
            self._shown = (share, moment, mode)
            self._draw()

    def on_resize(self) -> None:
        """Draw again in the new width."""
        self._draw()

    def _draw(self) -> None:
        share, moment, mode = self._shown
        left, right = f"{moment}  ", f"  {mode}"
        width = max(0, self.size.width - len(left) - len(right))
        self._bar = (len(left), width)
        at = round(share * (width - 1))
        cells: list[Cell] = [text(left)]
        if width > 1:
            cells += [text("━" * at, "accent"), text("●", "accent"), text("─" * (width - at - 1), "muted")]
        self.update(content(*cells, text(right, "muted")), layout=False)

    def on_click(self, event: events.Click) -> None:
        """Move to the clicked position."""
        start, width = self._bar
        offset = event.get_content_offset(self)
        if offset is not None and width > 1 and start <= offset.x < start + width:
            self.post_message(self.Scrubbed((offset.x - start) / (width - 1)))
