"""The blocks of a report, independent of the output format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the title of the report."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Table:
    """A table with a header; columns in `numbers` are right-aligned, rows in `strong` are bold."""

    head: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    numbers: frozenset[int] = frozenset()
    strong: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Picture:
    """A picture as SVG, or as text for formats without pictures; each is rendered only when needed."""

    caption: str
    svg: Callable[[], str]
    text: Callable[[], str]


Block = Heading | Text | Table | Picture
