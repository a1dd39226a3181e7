"""Aligns rows of text in columns."""

from __future__ import annotations

from collections.abc import Sequence

from s3tui.text.sanitize import clean

GAP = 2  # between columns
ALWAYS = 2  # the highest rank of columns that are never left out


def print_aligned(rows: Sequence[Sequence[str]]) -> None:
    """Print rows with aligned columns."""
    for line in aligned(rows):
        print(line)


def fitting(rows: Sequence[Sequence[str]], ranks: Sequence[int], width: int) -> list[list[str]]:
    """Rows without the columns that have no room in `width`: the highest rank goes first, ranks up to 2 never."""
    kept = list(range(len(ranks)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for last in sorted(kept, key=lambda i: -ranks[i]):
        if ranks[last] <= ALWAYS or sum(widths[i] + GAP for i in kept) - GAP <= width:
            break
        kept.remove(last)
    return [[row[i] for i in kept] for row in rows]


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines with aligned columns."""
    rows = [[clean(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        (" " * GAP).join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
