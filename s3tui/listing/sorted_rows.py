"""Filtered and sorted lines, updated incrementally, as only a few of a thousand runs change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from s3tui.listing.columns import COLUMNS
from s3tui.listing.filters import sorted_lines
from s3tui.listing.run_row import Line

_FIRST = {"running": 0, "quiet": 0, "queued": 1}


class Ordering:
    """The lines that pass the filter `keep`, sorted by one column (descending with a leading `-`), or by liveliness.

    By liveliness: running runs first, then waiting ones, then the rest, each by name.
    """

    def __init__(self, keep: Callable[[Line], bool], sort: str = "") -> None:
        self._keep, self._sort = keep, sort
        self._known: dict[str, Line] = {}
        self._places: dict[str, int] = {}
        self._shown: list[Line] = []

    def of(self, lines: Mapping[str, Line]) -> list[Line]:
        """The shown lines in order, sorted again only if a change may have moved one of them."""
        changed = [line for name, line in lines.items() if self._known.get(name) is not line]
        if len(lines) != len(self._known) or any(self._moves(line) for line in changed):
            self._arrange(lines)
        elif changed:
            self._shown = list(self._shown)
            for line in changed:
                if line.name in self._places:
                    self._shown[self._places[line.name]] = line
        self._known = dict(lines)
        return self._shown

    def _moves(self, line: Line) -> bool:
        known = self._known.get(line.name)
        return (
            known is None
            or self._keep(line) != (line.name in self._places)
            or self._place(line) != self._place(known)
        )  # fmt: skip

    def _place(self, line: Line) -> Any:
        return COLUMNS[self._sort.lstrip("-")].of(line) if self._sort else _liveliness(line)

    def _arrange(self, lines: Mapping[str, Line]) -> None:
        kept = [line for line in lines.values() if self._keep(line)]
        self._shown = sorted_lines(kept, self._sort) if self._sort else sorted(kept, key=_by_liveliness)
        self._places = {line.name: place for place, line in enumerate(self._shown)}


def _liveliness(line: Line) -> int:
    return _FIRST.get(line.status, 2)


def _by_liveliness(line: Line) -> tuple[int, str]:
    return (_liveliness(line), line.name)
