"""Curves of any length in bounded memory: downsampled to the extremes that a plot shows."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

CAPACITY = 2048  # points: twice the columns of a wide terminal in braille, so that zooming in finds detail


@dataclass(frozen=True)
class Curve:
    """An immutable curve: points in ascending order of x."""

    x: tuple[float, ...] = ()
    y: tuple[float, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.x)

    def between(self, low: float, high: float) -> Curve:
        """The points with low <= x <= high."""
        inside = [(x, y) for x, y in zip(self.x, self.y, strict=True) if low <= x <= high]
        return Curve(tuple(x for x, _ in inside), tuple(y for _, y in inside))

    def at(self, x: float) -> float | None:
        """The value at x by linear interpolation; None outside the range of the points."""
        if not self.x or not self.x[0] <= x <= self.x[-1]:
            return None
        right = bisect_left(self.x, x)
        if self.x[right] == x:
            return self.y[right]
        left = right - 1
        share = (x - self.x[left]) / (self.x[right] - self.x[left])
        return self.y[left] + share * (self.y[right] - self.y[left])


class Series:
    """A growing curve, downsampled to local extremes when it exceeds its capacity."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._x: array[float] = array("d")
        self._y: array[float] = array("d")

    def __len__(self) -> int:
        return len(self._x)

    def append(self, x: float, y: float) -> None:
        """Add a point with an x larger than all others."""
        self._x.append(x)
        self._y.append(y)
        if len(self._x) >= 2 * self._capacity:
            thin_x, thin_y = minmax(self._x, self._y, self._capacity // 2)
            self._x, self._y = array("d", thin_x), array("d", thin_y)

    def cut(self, last: float) -> None:
        """Remove the points with x > last."""
        while self._x and self._x[-1] > last:
            self._x.pop()
            self._y.pop()

    def last(self) -> float | None:
        """The latest value; None if there are no points."""
        return self._y[-1] if self._y else None

    def curve(self) -> Curve:
        """An immutable copy of the points so far."""
        return Curve(tuple(self._x), tuple(self._y))


def minmax(x: Sequence[float], y: Sequence[float], bins: int) -> tuple[list[float], list[float]]:
    """The minimum and the maximum in each of `bins` equal intervals of x, in order.

    A plot of `bins` columns looks the same with them as with all points (M4 aggregation without the first and last
    point of a bin; Jugel et al., VLDB 2014). The first and the last point of the curve are kept.
    """
    if len(x) <= 2 * bins:
        return list(x), list(y)
    width = (x[-1] - x[0]) / bins or 1.0
    kept = {0, len(x) - 1}
    start = 0
    while start < len(x):
        # Points of one bin are adjacent.
        bin_end = x[0] + width * (int((x[start] - x[0]) / width) + 1)
        end = start + 1
        while end < len(x) and x[end] < bin_end:
            end += 1
        kept.add(min(range(start, end), key=y.__getitem__))
        kept.add(max(range(start, end), key=y.__getitem__))
        start = end
    order = sorted(kept)
    return [x[i] for i in order], [y[i] for i in order]


def smoothed(curve: Curve, weight: float) -> Curve:
    """The bias-corrected exponential moving average with this weight on the past; 0 changes nothing.

    m_t = w m_(t-1) + (1 - w) y_t, divided by 1 - w^t (Kingma and Ba 2015, section 3).
    """
    if weight == 0:
        return curve
    mean, norm, values = 0.0, 0.0, []
    for value in curve.y:
        mean = weight * mean + (1 - weight) * value
        norm = weight * norm + (1 - weight)
        values.append(mean / norm)
    return Curve(curve.x, tuple(values))
