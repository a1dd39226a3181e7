"""The table on a screen as it is exported: exact values, not as they are rounded for the screen."""

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
    """Runs, with all that `s3tui list` tells of them."""
    return Table(title, tuple(COLUMNS), tuple(map(as_row, lines)))


def of_grid(title: str, grid: Grid) -> Table:
    """The texts of a table that holds nothing but texts."""
    names = tuple(column.key for column in grid.columns)
    rows = [{name: _text(row.cells.get(name, ())) for name in names} for row in grid.rows]
    return Table(title, names, tuple(rows))


def _text(cell: Iterable[tuple[str, str]]) -> str:
    return "".join(part for part, _ in cell).strip()
