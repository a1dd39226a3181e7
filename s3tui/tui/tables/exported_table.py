"""The exported form of a table on a screen, with exact values instead of rounded ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from s3tui.listing.columns import COLUMNS, as_row
from s3tui.listing.run_row import Line
from s3tui.tui.widgets.grid import Grid


@dataclass(frozen=True)
class Table:
    """Rows of values; `names` are the columns, in order."""

    title: str
    names: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]


def of_lines(title: str, lines: Iterable[Line]) -> Table:
    """The table of runs, with all columns of `s3tui list`."""
    return Table(title, tuple(COLUMNS), tuple(map(as_row, lines)))


def of_grid(title: str, grid: Grid) -> Table:
    """The table of a grid that contains only texts."""
    names = tuple(column.key for column in grid.columns)
    rows = [{name: _text(row.cells.get(name, ())) for name in names} for row in grid.rows]
    return Table(title, names, tuple(rows))


def _text(cell: Iterable[tuple[str, str]]) -> str:
    return "".join(part for part, _ in cell).strip()
