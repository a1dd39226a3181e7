"""A plot widget that draws a figure at most a few times a second, downsampled to its size."""

from __future__ import annotations

import time

from rich.segment import Segment
from rich.style import Style
from textual.content import Content
from textual.strip import Strip

from s3tui.tui.charts.canvas import AXIS, LEVEL, drawn
from s3tui.tui.charts.figures import Figure, View
from s3tui.tui.support.palette import Toned, line_colours, plain

LEAST_SECONDS = 0.3  # between two drawings
DUTY = 32  # minimal ratio of the interval to the drawing time, so that a plot uses at most a thirtieth of a core


class Plot(Toned):
    """Draws the latest figure."""

    def __init__(self, id: str | None = None, classes: str | None = None, empty: str = "nothing to draw yet") -> None:
        super().__init__(id=id, classes=classes)
        self._figure, self._view = Figure("", ()), View()
        self._empty = empty
        self.has_legend = True
        self._drawn_at = float("-inf")
        self._cost = 0.0
        self._is_due = False
        self._strips: list[Strip] | None = None

    @property
    def figure(self) -> Figure:
        """The figure."""
        return self._figure

    @property
    def view(self) -> View:
        """The view settings."""
        return self._view

    def draw(self, figure: Figure, view: View | None = None) -> None:
        """Draw this figure soon; does nothing if it is the same as before."""
        view = view or View()
        if figure == self._figure and view == self._view:
            return
        asked = view != self._view
        self._figure, self._view = figure, view
        self.border_title = self._title()
        if asked:
            self._draw_now()  # the user changed the view
        elif not self._is_due:
            self._is_due = True
            pause = max(LEAST_SECONDS, DUTY * self._cost)
            self.set_timer(max(0.001, pause - (time.monotonic() - self._drawn_at)), self._draw_now)

    def _draw_now(self) -> None:
        self._is_due = False
        self._strips = None
        self.refresh()

    def colour(self, place: int) -> tuple[int, int, int]:
        """A colour of the palette, for the theme's background."""
        colours = line_colours(self.app)
        return colours[place % len(colours)]

    def _title(self) -> Content:
        """The title, with the traces in their colours as a legend."""
        parts: list[str | Content | tuple[str, str]] = [plain(self._figure.title)]
        if self.has_legend:
            parts += [part for trace in self._figure.legend for part in self._named("━ ", trace.colour, trace.label)]
            if self._figure.level is not None:
                parts += self._named("┄ ", LEVEL, self._figure.level[1])
        return Content.assemble(*parts)

    def _named(self, mark: str, colour: int, name: str) -> list[str | Content | tuple[str, str]]:
        red, green, blue = self.colour(colour)
        return [" ", (mark, f"rgb({red},{green},{blue})"), plain(name)]

    def on_resize(self) -> None:
        """Draw again, as the number of visible points changes."""
        self._draw_now()

    def notify_style_update(self) -> None:
        """Draw again, as the theme has changed."""
        super().notify_style_update()
        self._strips = None

    def render_line(self, y: int) -> Strip:
        """Draw one line of the screen."""
        if self._strips is None:
            began = time.perf_counter()
            self._strips = self._draw()
            self._drawn_at, self._cost = time.monotonic(), time.perf_counter() - began
        if not self._strips:
            return self.message_line(self._empty if self._figure.is_empty else "", y)
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width, self.base)

    def _draw(self) -> list[Strip]:
        width = self.size.width
        lines = drawn(self._figure, self._view, width, self.size.height)
        styles = {place: self._style(place) for line in lines for _, place in line}
        return [Strip([Segment(part, styles[place]) for part, place in line], width) for line in lines]

    def _style(self, place: int) -> Style:
        if place == AXIS:
            return self.base + self.tone("muted")
        red, green, blue = self.colour(place)
        return self.base + Style(color=f"rgb({red},{green},{blue})")
