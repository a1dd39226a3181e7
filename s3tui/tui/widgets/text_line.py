"""A widget for one line of text, drawn only when it changes."""

from __future__ import annotations

from collections.abc import Sequence

from textual.widgets import Static

from s3tui.tui.support.palette import Cell, content


class TextLine(Static):
    """One line with tones; a change of the text does not trigger a new layout."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__("", id=id, markup=False)
        self._cells: list[Cell] = []

    def show(self, cells: Sequence[Cell]) -> None:
        """Show these cells in a row."""
        if list(cells) != self._cells:
            self._cells = list(cells)
            self.update(content(*cells), layout=False)
