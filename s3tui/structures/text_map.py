"""Renders the map of a structure as plain text."""

from __future__ import annotations

from s3tui.structures.load import Cell, Heatmap
from s3tui.text.sanitize import clean


def map_lines(found: Heatmap, width: int) -> list[str]:
    """The lines of the map: p in percent, chosen candidates marked; only marks if `width` is too small."""
    if not found.rows:
        return ["nothing to choose from"]
    left = max(map(len, found.rows))
    column = max(4, *(len(name) + 1 for name in found.columns))
    roomy = left + column * len(found.columns) <= width
    if roomy:
        head = " " * left + "".join(name.rjust(column) for name in found.columns)
        lines = ["".join(_percent(c).rjust(column) for c in cells) for cells in found.cells]
    else:
        head = f"{'':{left}} {found.columns[0]} to {found.columns[-1]}"
        lines = [" " + "".join(map(_mark, cells)) for cells in found.cells]
    rows = [f"{clean(row):{left}}{line}".rstrip() for row, line in zip(found.rows, lines, strict=True)]
    often = " in half of the structures or more" if found.runs > 1 else ""
    return [head, *rows, ("p in percent; * chosen" if roomy else "# chosen, . not chosen") + often]


def _mark(cell: Cell | None) -> str:
    return " " if cell is None else "#" if cell.selected >= 0.5 else "."


def _percent(cell: Cell | None) -> str:
    return "" if cell is None else f"{100 * cell.p:.0f}{'*' if cell.selected >= 0.5 else ' '}"
