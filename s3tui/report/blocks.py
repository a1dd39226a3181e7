"""What a report is made of, whatever it is written in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Heading:
    """The title of a part; level 1 is that of the report."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Table:
    """Rows of text under a head; the columns in `numbers` are set flush right, the rows in `strong` stand out."""

    head: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    numbers: frozenset[int] = frozenset()
    strong: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Picture:
    """A picture as SVG, and as text where no picture can be; either is made only when it is asked for."""

    caption: str
    svg: Callable[[], str]
    text: Callable[[], str]


Block = Heading | Text | Table | Picture
