"""Collects the faulty rows of a data file: the kinds of faults, how many, and where."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from core.run.errors import DataError

SHOWN = 5  # places of one kind of fault


@dataclass
class _Kind:
    """A kind of fault: the sentence about its first row, the number of rows, and the places of the first ones."""

    first: str
    count: int = 0
    numbers: list[int] = field(default_factory=list)


class Faults:
    """The faults of one file. `unit` is what row numbers count: lines or rows."""

    def __init__(self, source: str, unit: str) -> None:
        self.source, self.unit = source, unit
        self._kinds: dict[str, _Kind] = {}
        self._rows: set[int] = set()

    def __len__(self) -> int:
        """The number of rows with a fault."""
        return len(self._rows)

    def add(self, number: int, one: str, many: str) -> None:
        """Add a fault of the row at `number`: a sentence for it alone, and a predicate for several of its kind."""
        kind = self._kinds.setdefault(many, _Kind(one))
        kind.count += 1
        self._rows.add(number)
        kind.numbers = sorted([*kind.numbers, number])[:SHOWN]

    def lines(self, total: int, of_one: str = "", of_many: str = "") -> Iterator[str]:
        """A sentence for each kind, of a file with `total` rows; they end as given for one row and for several."""
        for many, kind in self._kinds.items():
            if kind.count == 1:
                yield f"{kind.first}{of_one}"
                continue
            where = ", ".join(map(str, kind.numbers)) + (", ..." if kind.count > len(kind.numbers) else "")
            yield f"{kind.count:,} of {total:,} rows {many}: {self.unit}s {where}{of_many}"

    def counts(self) -> dict[str, int]:
        """The number of rows of each kind, by its predicate."""
        return {many: kind.count for many, kind in self._kinds.items()}

    def error(self, total: int, hint: str) -> DataError:
        """All faults as one error."""
        return DataError(f"{self.source}: {'; '.join(self.lines(total))}", hint)
