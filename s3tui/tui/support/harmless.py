"""The last filter before the terminal: removes control characters from everything that is drawn."""

from __future__ import annotations

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from s3tui.text.sanitize import harmless

_ENDS = dict.fromkeys(map(ord, "\n\t"), "\N{REPLACEMENT CHARACTER}")


class Harmless(LineFilter):
    """Replaces control characters in each drawn line; those without a width are removed, to keep the alignment."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The line without control characters."""
        return [segment if segment.control else _harmless(segment) for segment in segments]


def _harmless(segment: Segment) -> Segment:
    text = segment.text
    safe = harmless(text).translate(_ENDS)
    if safe == text:
        return segment
    pairs = zip(text, safe, strict=True)
    return segment._replace(text="".join(b for a, b in pairs if a == b or Segment(a).cell_length))
