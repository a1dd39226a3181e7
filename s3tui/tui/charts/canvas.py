"""A plot as text: axes, and curves in braille, of which a cell has 2 x 4 dots.

textual-plotext was here first: it took 24 ms for a plot of 58 x 12 cells, this takes 2. A plot that follows a live run
is drawn several times a second, beside keys that want an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias

from s3tui.runs.curves import Curve
from s3tui.tui.charts.axes import Window, looked_at, nice_ticks, ticks_up, written
from s3tui.tui.charts.figures import Figure, View

AXIS = -1  # the colour of what is no trace
LEVEL = 5  # the colour of a level
FEW = 12  # points of a line that are marked one by one
CELLS_PER_TICK = (14, 3)  # so many columns, and lines, that ticks do not crowd

Part: TypeAlias = tuple[str, int]  # a text and the place of its colour in the palette
Line: TypeAlias = list[Part]

# The bits of a braille cell's two columns, from the lowest dot up to the k-th.
_UP = ((0x40, 0x44, 0x46, 0x47), (0x80, 0xA0, 0xB0, 0xB8))


class Canvas:
    """Cells that are written on; what comes later stands before what was there. (0, 0) is at the lower left."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._cells: dict[tuple[int, int], Part] = {}

    def column(self, x: float) -> int:
        """The column of cells that holds x, between 0 and 1."""
        return round(x * (2 * self.width - 1)) // 2

    def row(self, y: float) -> int:
        """The row of cells that holds y, between 0 and 1."""
        return round(y * (4 * self.height - 1)) // 4

    def put(self, x: float, y: float, mark: str, colour: int) -> None:
        """A mark in the cell that holds the point; x and y are between 0 and 1, others are left out."""
        if 0 <= x <= 1 and 0 <= y <= 1:
            self._cells[self.row(y), self.column(x)] = (mark, colour)

    def across(self, y: float, mark: str, colour: int) -> None:
        """A level at a height between 0 and 1."""
        self._cells |= {(self.row(y), column): (mark, colour) for column in range(self.width)}

    def upright(self, x: float, mark: str, colour: int) -> None:
        """A border between left and right, at x between 0 and 1."""
        self._cells |= {(row, self.column(x)): (mark, colour) for row in range(self.height)}

    def curve(self, points: Sequence[tuple[float, float]], colour: int) -> None:
        """A line from point to point, whose x never falls; x and y are between 0 and 1."""
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
        """From top to bottom, cells of one colour together."""
        return [_joined([self._cells.get((row, x), (" ", AXIS)) for x in range(self.width)])
                for row in reversed(range(self.height))]  # fmt: skip


def _spans(points: Sequence[tuple[int, float]]) -> dict[int, tuple[int, int]]:
    """For each column of dots the lowest and the highest that the line through the points passes."""
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
            # Half of the way to the next column is this one's, the other half the next one's: no gap on a steep line.
            half = y0 + slope * (column + 0.5 - left)
            pass_through(column, at, half)
            at = half
        pass_through(right, at, y1)
    return spans


def _joined(cells: Sequence[Part]) -> Line:
    line: Line = []
    for mark, colour in cells:
        # A blank has no colour of its own.
        if line and (line[-1][1] == colour or mark == " "):
            line[-1] = (line[-1][0] + mark, line[-1][1])
        else:
            line.append((mark, colour))
    return line


def drawn(figure: Figure, view: View, width: int, height: int) -> list[Line]:
    """The figure with its axes, in so many cells; no lines where there is nothing to draw, or no room."""
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
            *_lower_axis(canvas, window, margin)]  # fmt: skip


def _draw(canvas: Canvas, figure: Figure, curves: Sequence[Curve], window: Window) -> None:
    if figure.level is not None and (not window.log or figure.level[0] > 0):
        canvas.across(window.up(figure.level[0]), "┄", LEVEL)
    if figure.border is not None and window.low < figure.border < window.high:
        canvas.upright(window.across(figure.border), "┊", AXIS)
    for trace, curve in zip(figure.traces, curves, strict=True):
        points = [(window.across(x), window.up(y)) for x, y in zip(curve.x, curve.y, strict=True)]
        if not trace.dots:
            canvas.curve(points, trace.colour)
        if trace.dots or (len(points) <= FEW and not trace.plain):
            for x, y in points:
                canvas.put(x, y, "●", trace.colour)


def _with_left_axis(canvas: Canvas, ticks: dict[float, str], window: Window, margin: int) -> list[Line]:
    """The lines of the canvas behind the axis of y, top first."""
    labels = {canvas.row(window.up(tick)): label for tick, label in ticks.items()}
    lines = []
    for row, line in zip(reversed(range(canvas.height)), canvas.lines(), strict=True):
        label = labels.get(row)
        axis = f"{label:>{margin}}┤" if label is not None else " " * margin + "│"
        lines.append(_joined([(axis, AXIS), *line]))
    return lines


def _lower_axis(canvas: Canvas, window: Window, margin: int) -> list[Line]:
    """The axis of x and what is written under it; a label that has no room is left out."""
    axis, under = ["─"] * canvas.width, " " * (margin + 1 + canvas.width)
    ticks = nice_ticks(window.low, window.high, max(2, min(8, len(under) // CELLS_PER_TICK[0])))
    free_from = 0
    for tick, label in zip(ticks, written(ticks), strict=True):
        column = canvas.column(window.across(tick))
        axis[column] = "┬"
        start = min(margin + 1 + column - len(label) // 2, len(under) - len(label))
        if start >= free_from:
            under = under[:start] + label + under[start + len(label) :]
            free_from = start + len(label) + 1
    return [[(" " * margin + "└" + "".join(axis), AXIS)], [(under, AXIS)]]
