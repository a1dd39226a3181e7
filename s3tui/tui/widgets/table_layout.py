"""The layout of a table in character cells; pure functions, drawn by `grid`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from rich.cells import cell_len, set_cell_size

from s3tui.text.shorten import shortened
from s3tui.tui.support.palette import Cell, Part

GAP = 2  # spaces between two columns
LEAST = 18  # minimal width of a column that takes the remaining room
EASE = 26  # what it wants before columns of a rank above `NEEDED` are shown
NEEDED = 4


@dataclass(frozen=True)
class Column:
    """A column: `width` in cells, 0 for the remaining room; columns of high `rank` are hidden first.

    Texts without room lose their end, those of a `name` their middle.
    """

    key: str
    title: str
    width: int = 0
    right: bool = False
    rank: int = 0
    name: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A row: cells by the keys of their columns. A `heading` is the title of a group of rows."""

    key: str
    cells: Mapping[str, Cell] = field(default_factory=dict)
    heading: bool = False


Layout: TypeAlias = "list[tuple[Column, int]]"  # the shown columns with their widths


def laid_out(columns: Sequence[Column], room: int) -> Layout:
    """As many columns as fit into `room` cells, those of low rank first; they keep their order."""
    shown = list(columns[:1])
    for column in sorted(columns[1:], key=lambda column: column.rank):
        if _width([*shown, column], LEAST if column.rank <= NEEDED else EASE) <= room:
            shown.append(column)
    return _stretched([column for column in columns if column in shown], room)


def scrolled(columns: Sequence[Column], room: int, first: int) -> Layout:
    """The first column, which is fixed, and the columns from index `first` on that fit into `room` cells."""
    shown = list(columns[:1])
    for column in columns[1 + first :]:
        if _width([*shown, column]) > room:
            break
        shown.append(column)
    return _stretched(shown, room)


def _width(columns: Sequence[Column], least: int = LEAST) -> int:
    return sum((column.width or least) + GAP for column in columns) - GAP


def _stretched(columns: Sequence[Column], room: int) -> Layout:
    """Distribute the remaining room over the columns without a width."""
    rest = room - sum(column.width + GAP for column in columns) + GAP
    share = max(LEAST, rest // max(1, sum(not column.width for column in columns)))
    return [(column, column.width or share) for column in columns]


def width_of(layout: Layout) -> int:
    """The width of a line in cells."""
    return sum(width + GAP for _, width in layout)


def column_at(layout: Layout, x: int) -> Column | None:
    """The column at cell x of a line, including the gap after it."""
    start = 0
    for column, width in layout:
        if start <= x < start + width + GAP:
            return column
        start += width + GAP
    return None


def titles(layout: Layout, sorted_by: str) -> list[str]:
    """The header; `sorted_by` is the key of a column, with a leading `-` for descending order."""
    marks = {sorted_by.lstrip("-"): "▼" if sorted_by.startswith("-") else "▲"}
    return [
        _aligned(column.title + marks.get(column.key, ""), width, column.right) + " " * GAP for column, width in layout
    ]


def line_of(row: Row, layout: Layout) -> list[Part]:
    """The texts of a row with their tones; adjacent texts of one tone are joined, as each part costs drawing time."""
    parts: list[Part] = []
    for column, room in layout:
        cell = _fitted(row.cells.get(column.key, ()), room, column.name)
        blank = (" " * (room - sum(cell_len(part) for part, _ in cell)), "")
        parts += [blank, *cell] if column.right else [*cell, blank]
        parts.append((" " * GAP, ""))
    return _joined(parts)


def _fitted(cell: Cell, room: int, name: bool) -> Cell:
    """A cell truncated to `room`."""
    parts: list[Part] = []
    for part, tone in cell:
        length = cell_len(part)
        short = shortened(part, room) if name else set_cell_size(part, room - 1) + "…"
        parts.append((part if length <= room else short, tone))
        room -= length
        if room <= 0:
            break
    return tuple(parts)


def _joined(parts: Sequence[Part]) -> list[Part]:
    """Join adjacent parts of one tone."""
    joined: list[Part] = []
    for part, tone in parts:
        if joined and joined[-1][1] == tone:
            joined[-1] = (joined[-1][0] + part, tone)
        elif part:
            joined.append((part, tone))
    return joined


def _aligned(title: str, width: int, right: bool) -> str:
    title = title if cell_len(title) <= width else set_cell_size(title, width)
    return title.rjust(width) if right else title.ljust(width)
