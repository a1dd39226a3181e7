"""The layout of a heat map in character cells; pure functions, drawn by `heatmap`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from s3tui.structures.grid_layout import NO_MAP, GateMap

LEAST, MOST = 2, 8  # width of a column
LEAST_PLAIN = 3  # width of a column with a glyph between brackets


@dataclass(frozen=True)
class MapLayout:
    """The layout of a map in cells: `names` is the width of the row names, `cell` that of a column.

    `starts` are the offsets of the columns after the names; `width` is the end of the last one.
    """

    map: GateMap = NO_MAP
    names: int = 0
    cell: int = LEAST
    starts: tuple[int, ...] = ()
    width: int = 0

    def candidate_at(self, row: int, x: int) -> int | None:
        """The candidate of a row at cell x after the names."""
        for start, there in zip(self.starts, self.map.cells[row], strict=True):
            if start <= x < start + self.cell:
                return there
        return None

    def scrolled_to(self, index: int, at: tuple[int, int], room: tuple[int, int]) -> tuple[int, int]:
        """The scroll offset nearest to `at` at which a candidate is visible in `room` cells and lines."""
        row, column = self.map.places[index]
        start = self.starts[column]
        return min(start, max(at[0], start + self.cell - room[0])), min(row, max(at[1], row - room[1] + 1))

    def titles(self) -> Iterator[tuple[str, int]]:
        """The column titles that are shown: every n-th of each stack, so that they do not touch."""
        longest = max(map(len, self.map.columns), default=0)
        every = -(-(longest + 1) // self.cell)
        for _, stack in groupby(zip(self.map.columns, self.starts, self.map.stacks, strict=True), lambda c: c[2]):
            yield from ((title, start) for title, start, _ in list(stack)[::every])

    def line_of_titles(self, column: int, left: int, room: int) -> tuple[str, tuple[int, int]]:
        """The line of titles from cell `left` on, and the span of the title of `column` (-1: no column)."""
        here = None if column < 0 else (self.map.columns[column], self.starts[column] - left)
        others = [(title, start - left) for title, start in self.titles() if title != (here and here[0])]
        return heads(others, here, room)


def laid_out(map: GateMap, width: int, plain: bool) -> MapLayout:
    """Lay out a map in `width` cells, with a space between two stacks."""
    names = min(max((len(name) for name in map.rows), default=0) + 1, width // 2)
    stacks = map.stacks
    breaks = [bool(at and stacks[at] != stacks[at - 1]) for at in range(len(stacks))]
    room = width - names - sum(breaks) - 1
    cell = min(MOST, max(LEAST_PLAIN if plain else LEAST, room // max(1, len(stacks))))
    starts, x = [], 0
    for gap in breaks:
        starts.append(x + gap)
        x += gap + cell
    return MapLayout(map, names, cell, tuple(starts), x)


def heads(titles: Iterable[tuple[str, int]], here: tuple[str, int] | None, room: int) -> tuple[str, tuple[int, int]]:
    """A line of `room` cells with titles at their places, and the span of the title of the cursor.

    Titles that would touch that of the cursor, or are not completely inside, are left out.
    """
    line = [" "] * room
    a = b = 0
    if here is not None:
        a = max(0, min(here[1], room - len(here[0])))
        b = min(room, a + len(here[0]))
        line[a:b] = here[0][: b - a]
    for title, x in titles:
        end = x + len(title)
        if x >= 0 and end <= room and (end < a or x > b or here is None):
            line[x:end] = title
    return "".join(line), (a, b)
