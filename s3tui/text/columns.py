"""Aligns rows of text in columns."""

from __future__ import annotations

from collections.abc import Sequence

from s3tui.text.sanitize import clean


def print_aligned(rows: Sequence[Sequence[str]]) -> None:
    """Print rows with aligned columns."""
    for line in aligned(rows):
        print(line)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines with aligned columns."""
    rows = [[clean(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
