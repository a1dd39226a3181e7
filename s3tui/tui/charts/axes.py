"""The visible window of a plot, and the positions and labels of its ticks; pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from s3tui.runs.curves import Curve, minmax
from s3tui.tui.charts.figures import Figure, View

DOT_MARGIN = 0.03  # of the width, so that dots are not on the frame


@dataclass(frozen=True)
class Window:
    """The visible part of the plane; `log`: whether y is logarithmic."""

    low: float
    high: float
    bottom: float
    top: float
    log: bool = False

    def across(self, x: float) -> float:
        """The relative position of x: 0 at the left end, 1 at the right end."""
        return (x - self.low) / (self.high - self.low)

    def up(self, y: float) -> float:
        """The relative position of y: 0 at the lower end, 1 at the upper end."""
        if self.log:
            return math.log(y / self.bottom) / math.log(self.top / self.bottom)
        return (y - self.bottom) / (self.top - self.bottom)


def looked_at(figure: Figure, view: View, columns: int) -> tuple[list[Curve], Window] | None:
    """The visible points of each trace, downsampled to so many columns, and the window around them; None if empty."""
    ends = [x for trace in figure.traces if trace.curve for x in (trace.curve.x[0], trace.curve.x[-1])]
    if not ends:
        return None
    low, high = _range(min(ends), max((*ends, *figure.borders)), view)
    curves = [_shown(trace.curve, low, high, view.log, columns) for trace in figure.traces]
    values = [value for curve in curves for value in curve.y]
    if figure.level is not None and (not view.log or figure.level[0] > 0):
        values.append(figure.level[0])
    if not values:
        return None
    if any(trace.dots for trace in figure.traces):
        low, high = low - DOT_MARGIN * (high - low), high + DOT_MARGIN * (high - low)
    return curves, Window(low, high, *_padded(min(values), max(values), view.log), view.log)


def _range(first: float, last: float, view: View) -> tuple[float, float]:
    """The visible range of x."""
    width = last - first or 1.0
    return first + view.low * width, first + view.high * width


def _shown(curve: Curve, low: float, high: float, log: bool, columns: int) -> Curve:
    """The visible points, downsampled to the columns; on a logarithmic scale only positive ones."""
    inside = curve.between(low, high) if curve and (curve.x[0] < low or curve.x[-1] > high) else curve
    if log:
        positive = [(x, y) for x, y in zip(inside.x, inside.y, strict=True) if y > 0]
        inside = Curve(tuple(x for x, _ in positive), tuple(y for _, y in positive))
    x, y = minmax(inside.x, inside.y, columns) if inside else ((), ())
    return Curve(tuple(x), tuple(y))


def _padded(bottom: float, top: float, log: bool) -> tuple[float, float]:
    """The range of y with a margin; a constant line is in the middle."""
    if log:
        return bottom / 1.1, top * 1.1
    margin = 0.04 * (top - bottom) or abs(top) * 0.1 or 1.0
    # No margin below zero for values that cannot be negative.
    return (0.0 if 0 <= bottom < margin else bottom - margin), top + margin


def ticks_up(window: Window, most: int) -> list[float]:
    """The positions of the ticks of y."""
    return (log_ticks if window.log else nice_ticks)(window.bottom, window.top, most)


def nice_ticks(low: float, high: float, most: int) -> list[float]:
    """At most `most` round numbers between the ends: multiples of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    power = 10.0 ** math.floor(math.log10((high - low) / max(1, most)))
    for step in (factor * power for factor in (1, 2, 5, 10, 20, 50, 100)):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < most:
            break
    return [round(place * step, 12) for place in range(first, last + 1)]


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Powers of ten between the ends, or round numbers if there are fewer than two."""
    first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
    powers = [10.0**power for power in range(first, last + 1)]
    if len(powers) < 2:
        return [tick for tick in nice_ticks(low, high, most) if tick > 0]
    return powers[:: max(1, math.ceil(len(powers) / most))]


def written(ticks: Sequence[float]) -> list[str]:
    """The labels of ticks, with as few digits as keep them distinct."""
    largest = max(map(abs, ticks), default=0.0)
    if largest >= 1e4 and all(tick % 100 == 0 for tick in ticks):
        return [f"{tick / 1000:g}k" for tick in ticks]
    if 0 < largest < 1e-3:
        return [f"{tick:.1e}".replace("e-0", "e-") if tick else "0" for tick in ticks]
    return [f"{tick:g}" for tick in ticks]
