"""Reading of csv and tsv files, strict about quotes and cell counts, so that no row is lost or merged with another.

A csv is quoted as in RFC 4180. In a tsv quotes are text, unless the whole file parses as quoted like a csv.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from core.run.errors import DataError
from core.tasks.content import MOST_ROWS, Content, check_names, no_rows, too_many_rows
from core.tasks.textlines import LONGEST_LINE, text_lines

SEPARATORS = {".csv": ",", ".tsv": "\t"}

QUOTING = (
    'put a cell that holds a separator, a quote or a line end in quotes ("), and write a quote inside it twice ("")'
)


class _LayoutError(DataError):
    """A row does not fit the header when quotes are parsed in one of the two ways; `fault` says which row."""

    def __init__(self, path: Path, fault: str) -> None:
        super().__init__(f"{path}: {fault}", QUOTING)
        self.fault = fault


class _Rows:
    """The rows of a file, with quotes parsed or taken as text; `begins` and `ends` are the lines of the last row."""

    def __init__(self, path: Path, quoted: bool) -> None:
        self.path, self.begins, self.ends = path, 0, 0
        self._reader = csv.reader(
            text_lines(path),
            delimiter=SEPARATORS[path.suffix],
            quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
            strict=True,
        )
        self.header = next((row for row in self._filled() if row[0].strip() or len(row) > 1), [])
        if not self.header:
            raise no_rows(path)

    def __iter__(self) -> Iterator[list[str]]:
        """Rows with as many cells as the header; raises _LayoutError at the first other. Blank lines are skipped."""
        width = len(self.header)
        for row in self._filled():
            if len(row) == width:
                yield row
            elif len(row) > 1 or row[0].strip():
                raise _LayoutError(self.path, self._miscounted(len(row), width))

    def _filled(self) -> Iterator[list[str]]:
        try:
            for row in self._reader:
                self.begins, self.ends = self.ends + 1, self._reader.line_num
                if row:
                    yield row
        except csv.Error as error:
            raise _LayoutError(self.path, self._misquoted(str(error))) from None

    def _misquoted(self, reason: str) -> str:
        row = f"the row that begins in line {self.ends + 1}"
        if "end of data" in reason:
            return f"{row} has a quote that is never closed"
        if "field limit" in reason:
            return f"{row} has a cell of more than {LONGEST_LINE:,} characters; is a quote not closed?"
        return f"{row} has a quote inside a quoted cell, in line {self._reader.line_num}"

    def _miscounted(self, count: int, width: int) -> str:
        cells = f"{count} cell{'s' * (count != 1)}, the header {width}"
        if self.begins == self.ends:
            return f"line {self.begins} has {cells}"
        return f"quotes make one row of lines {self.begins} to {self.ends}, which has {cells}"


def read_delimited(path: Path, wanted: Sequence[str]) -> Content:
    """Read the columns of these names, cells unchanged; raises DataError that names the line at fault."""
    with _long_cells():
        try:
            content, joined = _read(path, wanted, quoted=True)
        except _LayoutError as error:
            if path.suffix != ".tsv":
                raise
            if misfit := _as_text(path):
                raise _LayoutError(path, f"{error.fault}; and with quotes as text, {misfit}") from None
            return _read(path, wanted, quoted=False)[0]
        if not joined or _as_text(path):
            return content
        if path.suffix == ".tsv":
            return _read(path, wanted, quoted=False)[0]
    raise DataError(
        f"{path}: quotes make one row of lines {joined[0]} to {joined[1]}, and each of these lines is a row by itself",
        'where the quotes are text, write them twice ("") in a quoted cell; where they are not, quote the header, too',
    )


def _read(path: Path, wanted: Sequence[str], quoted: bool) -> tuple[Content, tuple[int, int] | None]:
    """The columns, and the first and last line of the first row that spans several lines."""
    rows = _Rows(path, quoted)
    check_names(str(path), wanted, rows.header)
    places = [rows.header.index(name) for name in wanted]
    columns: list[list[str]] = [[] for _ in wanted]
    lines: list[int] = []
    joined = None
    for row in rows:
        for column, place in zip(columns, places, strict=True):
            column.append(row[place])
        lines.append(rows.begins)
        if rows.begins != rows.ends:
            joined = joined or (rows.begins, rows.ends)
        if len(lines) > MOST_ROWS:
            raise too_many_rows(path)
    if not lines:
        raise no_rows(path)
    return Content(str(path), dict(zip(wanted, columns, strict=True)), "line", lines), joined


def _as_text(path: Path) -> str:
    """Why the file cannot be parsed with quotes as text; empty if it can."""
    try:
        rows = _Rows(path, quoted=False)
        if any('"' in name for name in rows.header):
            return "the names in the header have quotes"
        if len(rows.header) == 1:
            return "there is no separator"
        deque(rows, maxlen=0)
    except _LayoutError as error:
        return error.fault
    return ""


@contextmanager
def _long_cells() -> Iterator[None]:
    """Raise the csv module's limit of 131,072 characters in a cell to the longest allowed line."""
    usual = csv.field_size_limit(LONGEST_LINE)
    try:
        yield
    finally:
        csv.field_size_limit(usual)
