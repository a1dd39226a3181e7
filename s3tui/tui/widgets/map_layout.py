"""Where the rows, columns and titles of a map are on the screen. Pure: `heatmap` draws them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from s3tui.structures.grid_layout import NO_MAP, GateMap

LEAST, MOST = 2, 8  # cells of a column
LEAST_PLAIN = 3  # of one in which a glyph stands between brackets


@dataclass(frozen=True)
class MapLayout:
    """A map in cells: `names` are those of the row names, `cell` those of a column.

    `starts` are where the columns begin, behind the names; `width` is where the last one ends.
    """

    map: GateMap = NO_MAP
    names: int = 0
    cell: int = LEAST
    starts: tuple[int, ...] = ()
    width: int = 0

    def candidate_at(self, row: int, x: int) -> int | None:
        """The candidate of a row whose field holds cell x behind the names."""
        for start, there in zip(self.starts, self.map.cells[row], strict=True):
            if start <= x < start + self.cell:
                return there
        return None

    def scrolled_to(self, index: int, at: tuple[int, int], room: tuple[int, int]) -> tuple[int, int]:
        """Where to scroll from `at`, no further than needed, so that a candidate is seen in `room` cells and lines."""
        row, column = self.map.places[index]
        start = self.starts[column]
        return min(start, max(at[0], start + self.cell - room[0])), min(row, max(at[1], row - room[1] + 1))

    def titles(self) -> Iterator[tuple[str, int]]:
        """Every so many columns of each stack, so that their names do not touch."""
        longest = max(map(len, self.map.columns), default=0)
        every = -(-(longest + 1) // self.cell)
        for _, stack in groupby(zip(self.map.columns, self.starts, self.map.stacks, strict=True), lambda c: c[2]):
            yield from ((title, start) for title, start, _ in list(stack)[::every])

    def line_of_titles(self, column: int, left: int, room: int) -> tuple[str, tuple[int, int]]:
        """The titles from cell `left` on, and from where to where that of `column` is; -1 is no column."""
        here = None if column < 0 else (self.map.columns[column], self.starts[column] - left)
        others = [(title, start - left) for title, start in self.titles() if title != (here and here[0])]
        return heads(others, here, room)


def laid_out(map: GateMap, width: int, plain: bool) -> MapLayout:
    """How wide the names and the columns are in `width` cells; a blank stands between two stacks."""
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
    """Titles at their places in a line of `room` cells, and from where to where that of the cursor stands.

    What would touch the title of the cursor, or is not wholly inside, is left out.
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
