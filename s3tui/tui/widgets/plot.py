"""A plot that draws a figure, at most a few times a second, with no more points than there is room for."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from rich.text import Text
from textual.app import RenderResult
from textual.content import Content
from textual_plotext import PlotextPlot

from s3tui.series import Curve, minmax
from s3tui.tui.figures import Figure, View
from s3tui.tui.palette import COLOURS_DARK, COLOURS_LIGHT, plain

LEAST_SECONDS = 0.4  # between two drawings
DUTY = 16  # and at least so many times as long as one takes: a plot costs a sixteenth of a core at most
MOST_SECONDS = 0.8
MARGIN = 8  # cells of a plot that are not for data
DOT_MARGIN = 0.03  # of the width, beside dots, which would lie on the frame
FEW = 12  # points of a line that are marked one by one


class Plot(PlotextPlot):
    """Draws the figure that it was given last."""

    def __init__(self, id: str | None = None, classes: str | None = None, empty: str = "nothing to draw yet") -> None:
        super().__init__(id=id, classes=classes)
        self._figure, self._view = Figure("", ()), View()
        self._empty = empty
        self.has_legend = True
        self._drawn_at = float("-inf")
        self._cost = 0.0
        self._is_due = False

    @property
    def figure(self) -> Figure:
        """What is drawn."""
        return self._figure

    @property
    def view(self) -> View:
        """How somebody looks at it."""
        return self._view

    def draw(self, figure: Figure, view: View | None = None) -> None:
        """Draw this, soon; nothing happens where it is the same as before."""
        view = view or View()
        if figure == self._figure and view == self._view:
            return
        asked = view != self._view
        self._figure, self._view = figure, view
        self.border_title = self._title()
        if asked:
            self.refresh()  # a key was pressed: at once
        elif not self._is_due:
            self._is_due = True
            pause = min(MOST_SECONDS, max(LEAST_SECONDS, DUTY * self._cost))
            self.set_timer(max(0.001, pause - (time.monotonic() - self._drawn_at)), self._draw_now)

    def _draw_now(self) -> None:
        self._is_due = False
        self.refresh()

    def colour(self, place: int) -> tuple[int, int, int]:
        """A colour of the palette, for the theme's background."""
        colours = COLOURS_DARK if self.app.current_theme.dark else COLOURS_LIGHT
        return colours[place % len(colours)]

    def _title(self) -> Content:
        """The title, with the traces in their colours as a legend."""
        parts: list[str | Content | tuple[str, str]] = [plain(self._figure.title)]
        if self.has_legend and len(self._figure.traces) > 1:
            for trace in self._figure.traces:
                red, green, blue = self.colour(trace.colour)
                parts += ["  ", ("━ ", f"rgb({red},{green},{blue})"), plain(trace.label)]
        return Content.assemble(*parts)

    def render(self) -> RenderResult:
        """Draw the figure."""
        if self._figure.is_empty or self.size.width < 2 * MARGIN or self.size.height < 3:
            return Text(self._empty if self._figure.is_empty else "", style="dim", justify="center")
        began = time.perf_counter()
        self._build()
        drawn = super().render()
        self._drawn_at, self._cost = time.monotonic(), time.perf_counter() - began
        return drawn

    def _build(self) -> None:
        figure, view, plt = self._figure, self._view, self.plt
        low, high = _range(figure.traces[0].curve.x if len(figure.traces) == 1 else _all_x(figure), view)
        plt.clear_figure()
        plt.xaxes(True, False)
        plt.yaxes(True, False)
        shown = [(trace, _shown(trace.curve, low, high, view.log, self.size.width)) for trace in figure.traces]
        values = [value for _, curve in shown for value in curve.y]
        if figure.level is not None and (not view.log or figure.level[0] > 0):
            values.append(figure.level[0])
        if not values:
            return
        bottom, top = _padded(min(values), max(values), view.log)
        if figure.level is not None and values[-1] == figure.level[0]:
            plt.plot([low, high], [figure.level[0]] * 2, marker="┄", color=self.colour(5))
        if figure.border is not None and low < figure.border < high:
            plt.plot([figure.border] * 2, [bottom, top], marker="┊", color=(128, 128, 128))
        for trace, curve in shown:
            x, y, colour = list(curve.x), list(curve.y), self.colour(trace.colour)
            if not trace.dots:
                plt.plot(x, y, marker="braille", color=colour)
            if trace.dots or (len(x) <= FEW and not trace.plain):
                plt.scatter(x, y, marker="●", color=colour)
        if view.log:
            plt.yscale("log")
        if any(trace.dots for trace in figure.traces):
            low, high = low - DOT_MARGIN * (high - low), high + DOT_MARGIN * (high - low)
        plt.xlim(low, high)
        plt.ylim(bottom, top)
        self._ticks(low, high, bottom, top)

    def _ticks(self, low: float, high: float, bottom: float, top: float) -> None:
        wide = max(2, min(8, self.size.width // 14))
        x = nice_ticks(low, high, wide)
        tall = max(2, min(8, self.size.height // 3))
        y = log_ticks(bottom, top, tall) if self._view.log else nice_ticks(bottom, top, tall)
        self.plt.xticks(x, written(x))
        self.plt.yticks(y, written(y))


def _all_x(figure: Figure) -> Sequence[float]:
    ends = [x for trace in figure.traces if trace.curve for x in (trace.curve.x[0], trace.curve.x[-1])]
    return sorted(ends)


def _range(x: Sequence[float], view: View) -> tuple[float, float]:
    """The part of x that is looked at."""
    first, last = min(x), max(x)
    width = last - first or 1.0
    return first + view.low * width, first + view.high * width


def _shown(curve: Curve, low: float, high: float, log: bool, bins: int) -> Curve:
    """The points that are looked at: as many as columns can show, and on a logarithmic scale the positive ones."""
    inside = curve.between(low, high) if curve and (curve.x[0] < low or curve.x[-1] > high) else curve
    if log:
        positive = [(x, y) for x, y in zip(inside.x, inside.y, strict=True) if y > 0]
        inside = Curve(tuple(x for x, _ in positive), tuple(y for _, y in positive))
    x, y = minmax(inside.x, inside.y, bins) if inside else ((), ())
    return Curve(tuple(x), tuple(y))


def _padded(bottom: float, top: float, log: bool) -> tuple[float, float]:
    """A little room above and below; a flat line lies in the middle."""
    if log:
        return bottom / 1.1, top * 1.1
    margin = 0.04 * (top - bottom) or abs(top) * 0.1 or 1.0
    # No room under zero for what cannot be negative.
    return (0.0 if 0 <= bottom < margin else bottom - margin), top + margin


def nice_ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers between the ends, at most so many: multiples of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    raw = (high - low) / max(1, most)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(place * step, 12) for place in range(first, last + 1)]


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Powers of ten between the ends, or round numbers where there are fewer than two."""
    first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
    powers = [10.0**power for power in range(first, last + 1)]
    if len(powers) < 2:
        return [tick for tick in nice_ticks(low, high, most) if tick > 0]
    return powers[:: max(1, math.ceil(len(powers) / most))]


def written(ticks: Sequence[float]) -> list[str]:
    """Ticks with as many digits as tell them apart, and all of one width."""
    largest = max(map(abs, ticks), default=0.0)
    if largest >= 1e4 and all(tick % 100 == 0 for tick in ticks):
        return [f"{tick / 1000:g}k" for tick in ticks]
    if 0 < largest < 1e-3:
        return [f"{tick:.1e}".replace("e-0", "e-") if tick else "0" for tick in ticks]
    return [f"{tick:g}" for tick in ticks]
