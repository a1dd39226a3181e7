"""The requested columns of a data file, with the place of each row for messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from core.run.errors import DataError, nearest, quoted
from core.tasks.faults import Faults

# More rows do not fit into the memory of most machines, as every row is several Python objects.
MOST_ROWS = 10_000_000


@dataclass(frozen=True)
class Layout:
    """The layout of a text file; values of None or "auto" are to be detected.

    `delimiter` separates cells, `encoding` is the name of a codec of Python. Cells are `"quoted"` as in RFC 4180, or
    quotes are text (`"none"`).
    """

    delimiter: str | None = None
    encoding: str | None = None
    quoting: Literal["auto", "quoted", "none"] = "auto"


@dataclass(frozen=True)
class Content:
    """Columns of equal length. `numbers[i]` is the line of the file on which row i begins, or the row number.

    `names` lists all columns of the file. `faults` holds the rows that could not be read and are in no column. `found`
    is the layout that was detected.
    """

    source: str
    columns: Mapping[str, Sequence[Any]]
    numbers: Sequence[int]
    names: Sequence[str]
    faults: Faults
    found: Layout = field(default_factory=Layout)

    def __len__(self) -> int:
        return len(self.numbers)

    def place(self, row: int) -> str:
        """The place of a row in the file, for messages; lines and rows count from 1."""
        return f"{self.faults.unit} {self.numbers[row]}"


def check_names(source: str, wanted: Iterable[str], known: Sequence[str]) -> None:
    """Raise DataError if a column is missing, or if two columns have the same name; empty names may repeat."""
    columns: dict[str, int] = {}
    for i, name in enumerate(known, 1):
        if columns.setdefault(name, i) != i and (name or name in wanted):
            raise DataError(
                f"{source}: columns {columns[name]} and {i} are both named {quoted(name)}", "rename one of them"
            )
    for name in wanted:
        if name not in columns:
            raise DataError(f"{source} has no column {quoted(name)}", nearest(name, columns))


def no_rows(source: object) -> DataError:
    """The error for a file without rows."""
    return DataError(f"{source} has no rows", "every file needs at least one row of data")


def too_many_rows(source: object) -> DataError:
    """The error for a file with more than MOST_ROWS."""
    return DataError(f"{source} has more than {MOST_ROWS:,} rows", "take a part of them")
