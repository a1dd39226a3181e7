"""What was read of a data file: the columns that were asked for, and where each row stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from core.run.errors import DataError, nearest, shown
from core.tasks.faults import Faults

# More do not fit into the memory of most machines, as every row is several Python objects.
MOST_ROWS = 10_000_000


@dataclass(frozen=True)
class Layout:
    """How a file is said to be written; what is None, or "auto", is found out.

    `delimiter` stands between cells, `encoding` is a name of Python's codecs. Cells are `"quoted"` as RFC 4180 has it,
    or quotes are text (`"none"`).
    """

    delimiter: str | None = None
    encoding: str | None = None
    quoting: Literal["auto", "quoted", "none"] = "auto"


@dataclass(frozen=True)
class Content:
    """Columns of equal length. `numbers[i]` is the line of the file on which row i begins, or the row's own number.

    `names` are those of all columns. `faults` are rows that are in no column, as they could not be read. `found` says
    in words what was found out about how the file is written, where that is not what its name says.
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
    """Raise DataError where a column is not there, or where two have one name; several may have none."""
    columns: dict[str, int] = {}
    for i, name in enumerate(known, 1):
        if columns.setdefault(name, i) != i and (name or name in wanted):
            raise DataError(
                f"{source}: columns {columns[name]} and {i} are both named {shown(name)}", "rename one of them"
            )
    for name in wanted:
        if name not in columns:
            raise DataError(f"{source} has no column {shown(name)}", nearest(name, columns))


def no_rows(source: object) -> DataError:
    """The error of a file in which there is nothing to learn from."""
    return DataError(f"{source} has no rows", "every file needs at least one row of data")


def too_many_rows(source: object) -> DataError:
    """The error of a file with more than MOST_ROWS."""
    return DataError(f"{source} has more than {MOST_ROWS:,} rows", "take a part of them")
