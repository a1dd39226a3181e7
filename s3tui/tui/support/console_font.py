"""A filter for the Linux console, whose fonts have lines, blocks and shades, but no braille and few signs."""

from __future__ import annotations

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

SIGNS = {
    "╭": "┌", "╮": "┐", "╰": "└", "╯": "┘", "━": "=", "╸": "=", "╺": "=", "┄": "-", "┊": ":", "…": "~",
    "✓": "+", "✗": "x", "○": "o", "●": "*", "◐": "~", "†": "X", "◆": "*", "✎": "*", "▸": ">", "▾": "v",
    "▲": "^", "▼": "v",
    "▁": "_", "▂": "▄", "▃": "▄", "▅": "▄", "▆": "█", "▇": "█", "▔": "▀",
    "▏": "│", "▎": "│", "▍": "▌", "▋": "▌", "▊": "█", "▉": "█", "▕": "│",
}  # fmt: skip
BRAILLE, UPPER, LOWER = 0x2800, 0x1B, 0xE4  # the first of the 256 patterns; the bits of the dots in either half
HALVES = " ▀▄█"


def _halves(dots: int) -> str:
    """The block for a pattern of dots: a plot keeps two of its four lines in a cell."""
    return HALVES[bool(dots & UPPER) + 2 * bool(dots & LOWER)]


TABLE = str.maketrans(SIGNS) | {BRAILLE + dots: _halves(dots) for dots in range(256)}


class ConsoleFont(LineFilter):
    """Replaces in each drawn line what the font has not; all are as wide as before."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The line in glyphs of the font."""
        return [segment._replace(text=segment.text.translate(TABLE)) for segment in segments]
