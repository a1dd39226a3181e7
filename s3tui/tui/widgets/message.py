"""A widget for a few lines of text above the parts of a tab."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.widgets import Static

from s3tui.tui.support.palette import Cell, content

Lines = Sequence[Sequence[Cell]]


class MessageLines(Static):
    """Lines of cells, drawn only when they change."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__("", id=id, markup=False)
        self.lines: Lines = ()

    def show(self, lines: Lines) -> None:
        """Show these lines."""
        if lines != self.lines:
            self.lines = lines
            self.update(Content("\n").join(content(*line) for line in lines), layout=False)

    @property
    def plain(self) -> str:
        """The text, without tones."""
        return "\n".join("".join(part for cell in line for part, _ in cell) for line in self.lines)
