"""A line of text that is drawn only where it has changed."""

from __future__ import annotations

from collections.abc import Sequence

from textual.widgets import Static

from s3tui.tui.support.palette import Cell, content


class TextLine(Static):
    """One line in tones. Nothing around it moves when its text changes, so nothing is laid out anew."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__("", id=id, markup=False)
        self._cells: list[Cell] = []

    def show(self, cells: Sequence[Cell]) -> None:
        """Show these cells, one after the other."""
        if list(cells) != self._cells:
            self._cells = list(cells)
            self.update(content(*cells), layout=False)
