"""Draws a plot as text: axes, and curves in braille characters of 2 x 4 dots.

It replaces textual-plotext, which took 24 ms for a plot of 58 x 12 cells; this takes 2 ms. The plot of a live run is
drawn several times a second, and must not delay key presses.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias

from s3tui.runs.curves import Curve
from s3tui.tui.charts.axes import Window, looked_at, nice_ticks, ticks_up, written
from s3tui.tui.charts.figures import FADED, WHOLE, Figure, View

AXIS = FADED  # the colour of axes
LEVEL = 5  # the colour of a level
FEW = 12  # a line of at most so many points has a mark on each
CELLS_PER_TICK = (14, 3)  # columns and lines per tick

Part: TypeAlias = tuple[str, int]  # a text and the place of its colour in the palette
Line: TypeAlias = list[Part]

# The bits of a braille cell's two columns, from the lowest dot up to the k-th.
_UP = ((0x40, 0x44, 0x46, 0x47), (0x80, 0xA0, 0xB0, 0xB8))


class Canvas:
    """A grid of character cells; later marks overwrite earlier ones. (0, 0) is at the lower left."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._cells: dict[tuple[int, int], Part] = {}

    def column(self, x: float) -> int:
        """The column of cells for x between 0 and 1."""
        return round(x * (2 * self.width - 1)) // 2

    def row(self, y: float) -> int:
        """The row of cells for y between 0 and 1."""
        return round(y * (4 * self.height - 1)) // 4

    def put(self, x: float, y: float, mark: str, colour: int) -> None:
        """Put a mark into the cell of a point, unless x or y is outside [0, 1]."""
        if 0 <= x <= 1 and 0 <= y <= 1:
            self._cells[self.row(y), self.column(x)] = (mark, colour)

    def across(self, y: float, mark: str, colour: int) -> None:
        """Draw a horizontal line at y between 0 and 1."""
        self._cells |= {(self.row(y), column): (mark, colour) for column in range(self.width)}

    def upright(self, x: float, mark: str, colour: int) -> None:
        """Draw a vertical line at x between 0 and 1."""
        self._cells |= {(row, self.column(x)): (mark, colour) for row in range(self.height)}

    def curve(self, points: Sequence[tuple[float, float]], colour: int) -> None:
        """Draw a line through points with ascending x; x and y are between 0 and 1."""
        bits: dict[tuple[int, int], int] = {}
        wide, high = 2 * self.width - 1, 4 * self.height - 1
        for column, (low, top) in _spans([(round(x * wide), y * high) for x, y in points]).items():
            up, at = _UP[column % 2], column // 2
            for row in range(low // 4, top // 4 + 1):
                first, last = max(low - 4 * row, 0), min(top - 4 * row, 3)
                mask = up[last] & ~(up[first - 1] if first else 0)
                bits[row, at] = bits.get((row, at), 0) | mask
        for cell, dots in bits.items():
            self._cells[cell] = (chr(0x2800 + dots), colour)

    def lines(self) -> list[Line]:
        """The lines from top to bottom, with adjacent cells of one colour joined."""
        return [_joined([self._cells.get((row, x), (" ", AXIS)) for x in range(self.width)])
                for row in reversed(range(self.height))]  # fmt: skip


def _spans(points: Sequence[tuple[int, float]]) -> dict[int, tuple[int, int]]:
    """For each column of dots the lowest and the highest dot of the line through the points."""
    spans: dict[int, tuple[int, int]] = {}

    def pass_through(column: int, one: float, other: float) -> None:
        low, top = (round(one), round(other)) if one < other else (round(other), round(one))
        known = spans.get(column)
        spans[column] = (low, top) if known is None else (min(known[0], low), max(known[1], top))

    for column, y in points[:1]:
        pass_through(column, y, y)
    for (left, y0), (right, y1) in pairwise(points):
        slope = (y1 - y0) / max(1, right - left)
        at = y0
        for column in range(left, right):
            # Each column covers half of the way to the next one, so that a steep line has no gaps.
            half = y0 + slope * (column + 0.5 - left)
            pass_through(column, at, half)
            at = half
        pass_through(right, at, y1)
    return spans


def _joined(cells: Sequence[Part]) -> Line:
    line: Line = []
    for mark, colour in cells:
        # A space has no colour of its own.
        if line and (line[-1][1] == colour or mark == " "):
            line[-1] = (line[-1][0] + mark, line[-1][1])
        else:
            line.append((mark, colour))
    return line


def drawn(figure: Figure, view: View, width: int, height: int) -> list[Line]:
    """The figure with its axes in so many cells; empty if there is nothing to draw, or no room."""
    found = looked_at(figure, view, 2 * width) if width > 0 else None
    if found is None:
        return []
    curves, window = found
    up = ticks_up(window, max(3, min(8, height // CELLS_PER_TICK[1])))
    labels = written(up)
    margin = max(map(len, labels), default=0)
    canvas = Canvas(width - margin - 1, height - 2)
    if canvas.width < 2 or canvas.height < 1:
        return []
    _draw(canvas, figure, curves, window)
    return [*_with_left_axis(canvas, dict(zip(up, labels, strict=True)), window, margin),
            *_lower_axis(canvas, window, margin, figure.x_label in WHOLE)]  # fmt: skip


def _draw(canvas: Canvas, figure: Figure, curves: Sequence[Curve], window: Window) -> None:
    if figure.level is not None and (not window.log or figure.level[0] > 0):
        canvas.across(window.up(figure.level[0]), "┄", LEVEL)
    for border in figure.borders:
        if window.low < border <= window.high:
            canvas.upright(window.across(border), "┊", AXIS)
    for trace, curve in zip(figure.traces, curves, strict=True):
        points = [(window.across(x), window.up(y)) for x, y in zip(curve.x, curve.y, strict=True)]
        if not trace.dots:
            canvas.curve(points, trace.colour)
        if trace.dots or (len(points) <= FEW and not trace.plain):
            for x, y in points:
                canvas.put(x, y, "●", trace.colour)


def _with_left_axis(canvas: Canvas, ticks: dict[float, str], window: Window, margin: int) -> list[Line]:
    """The lines of the canvas with the y axis, top first."""
    labels = {canvas.row(window.up(tick)): label for tick, label in ticks.items()}
    lines = []
    for row, line in zip(reversed(range(canvas.height)), canvas.lines(), strict=True):
        label = labels.get(row)
        axis = f"{label:>{margin}}┤" if label is not None else " " * margin + "│"
        lines.append(_joined([(axis, AXIS), *line]))
    return lines


def _lower_axis(canvas: Canvas, window: Window, margin: int, whole: bool) -> list[Line]:
    """The x axis and its labels, whole numbers alone if `whole`; labels without room are omitted."""
    axis, under = ["─"] * canvas.width, " " * (margin + 1 + canvas.width)
    ticks = nice_ticks(window.low, window.high, max(2, min(8, len(under) // CELLS_PER_TICK[0])))
    ticks = [tick for tick in ticks if not whole or tick == round(tick)]
    free_from = 0
    for tick, label in zip(ticks, written(ticks), strict=True):
        column = canvas.column(window.across(tick))
        axis[column] = "┬"
        start = min(margin + 1 + column - len(label) // 2, len(under) - len(label))
        if start >= free_from:
            under = under[:start] + label + under[start + len(label) :]
            free_from = start + len(label) + 1
    return [[(" " * margin + "└" + "".join(axis), AXIS)], [(under, AXIS)]]
