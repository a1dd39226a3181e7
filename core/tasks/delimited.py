"""Reading of delimited text files, strict about quotes and cell counts, so that no row is lost or merged with another.

A csv is quoted as in RFC 4180. With tabs, quotes are text, unless the whole file parses as quoted like a csv.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from core.run.errors import DataError
from core.tasks.content import MOST_ROWS, Content, Layout, check_names, no_rows, too_many_rows
from core.tasks.encodings import encoding_of
from core.tasks.faults import Faults
from core.tasks.opening import ending
from core.tasks.textlines import LONGEST_LINE, text_lines

TAB = "\t"
# The usual delimiter of each file extension, and all delimiters that are tried.
SEPARATORS = {".csv": ",", ".tsv": TAB, ".txt": TAB}
DELIMITERS = (",", ";", TAB, "|")
SAMPLE_ROWS = 20

QUOTING = (
    'put a cell that holds a separator, a quote or a line end in quotes ("), and write a quote inside it twice (""); '
    'set quoting = "none" where quotes are text'
)


class _LayoutError(DataError):
    """A row does not fit the header when quotes are parsed in one of the two ways; `fault` says which row."""

    def __init__(self, path: Path, fault: str) -> None:
        super().__init__(f"{path}: {fault}", QUOTING)
        self.fault = fault


class _Rows:
    """The rows of a file, with quotes parsed or taken as text; `begins` and `ends` are the lines of the last row.

    `faults` has the rows with a cell too many or too few, which are passed over.
    """

    def __init__(self, path: Path, delimiter: str, encoding: str, quoted: bool) -> None:
        self.path, self.begins, self.ends = path, 0, 0
        self.faults = Faults(str(path), "line")
        self._reader = csv.reader(
            text_lines(path, encoding),
            delimiter=delimiter,
            quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
            strict=True,
        )
        self.header = next((row for row in self._filled() if row[0].strip() or len(row) > 1), [])
        if not self.header:
            raise no_rows(path)

    def __iter__(self) -> Iterator[list[str]]:
        """Rows with as many cells as the header; others are added to `faults`. Blank lines are skipped."""
        width = len(self.header)
        for row in self._filled():
            if len(row) == width:
                yield row
            elif len(row) > 1 or row[0].strip():
                self._miscounted(len(row), width)

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

    def _miscounted(self, count: int, width: int) -> None:
        """Add a row of one line to the faults; raises _LayoutError for one of several lines, which a quote may join."""
        cells = f"{count} cell{'s' * (count != 1)}, the header {width}"
        if self.begins != self.ends:
            raise _LayoutError(
                self.path, f"quotes make one row of lines {self.begins} to {self.ends}, which has {cells}"
            )
        many = f"have more or fewer cells than the header, which has {width}"
        self.faults.add(self.begins, f"line {self.begins} has {cells}", many)


class _File:
    """A file with its encoding and delimiter, given or detected."""

    def __init__(self, path: Path, wanted: Sequence[str], layout: Layout) -> None:
        self.path, self.wanted = path, wanted
        self.encoding = layout.encoding or encoding_of(path)
        self.delimiter = layout.delimiter or _delimiter(path, wanted, self.encoding)

    def rows(self, quoted: bool) -> _Rows:
        """Its rows, with quotes parsed or taken as text."""
        return _Rows(self.path, self.delimiter, self.encoding, quoted)

    def read(self, quoted: bool) -> tuple[Content, tuple[int, int] | None]:
        """The columns, and the first and last line of the first row that spans several lines."""
        rows = self.rows(quoted)
        check_names(str(self.path), self.wanted, rows.header)
        places = [rows.header.index(name) for name in self.wanted]
        columns: list[list[str]] = [[] for _ in self.wanted]
        lines: list[int] = []
        joined = None
        for row in rows:
            for column, place in zip(columns, places, strict=True):
                column.append(row[place])
            lines.append(rows.begins)
            if rows.begins != rows.ends:
                joined = joined or (rows.begins, rows.ends)
            if len(lines) > MOST_ROWS:
                raise too_many_rows(self.path)
        if not lines and not rows.faults:
            raise no_rows(self.path)
        found = Layout(self.delimiter, self.encoding, "quoted" if quoted else "none")
        named = dict(zip(self.wanted, columns, strict=True))
        return Content(str(self.path), named, lines, rows.header, rows.faults, found), joined

    def misfit_as_text(self) -> str:
        """Why the file cannot be parsed with quotes as text; empty if it can."""
        try:
            rows = self.rows(quoted=False)
            if any('"' in name for name in rows.header):
                return "the names in the header have quotes"
            if len(rows.header) == 1:
                return "there is no separator"
            deque(rows, maxlen=0)
        except _LayoutError as error:
            return error.fault
        return next(rows.faults.lines(0), "")


def read_delimited(path: Path, wanted: Sequence[str], layout: Layout) -> Content:
    """Read the columns of these names, cells unchanged; raises DataError that names the line at fault."""
    with _long_cells():
        file = _File(path, wanted, layout)
        return _read(file) if layout.quoting == "auto" else file.read(layout.quoting == "quoted")[0]


def _read(file: _File) -> Content:
    """The columns, with quotes parsed or taken as text, whichever fits the lines."""
    try:
        content, joined = file.read(quoted=True)
    except _LayoutError as error:
        if file.delimiter != TAB:
            raise
        if misfit := file.misfit_as_text():
            raise _LayoutError(file.path, f"{error.fault}; and with quotes as text, {misfit}") from None
        return file.read(quoted=False)[0]
    if not (joined or content.faults) or file.misfit_as_text():
        return content
    if file.delimiter == TAB:
        return file.read(quoted=False)[0]
    if not joined:
        return content
    raise DataError(
        f"{file.path}: quotes make one row of lines {joined[0]} to {joined[1]}, "
        "and each of these lines is a row by itself",
        'where the quotes are text, write them twice ("") in a quoted cell, or set quoting = "none"; where they are '
        'not, quote the header, too, or set quoting = "quoted"',
    )


def _delimiter(path: Path, wanted: Sequence[str], encoding: str) -> str:
    """The delimiter: the usual one of the file's extension, unless the wanted columns are found only with another.

    If no columns are wanted, the one that gives most columns, with as many cells in each of the first rows.
    """
    own = SEPARATORS.get(ending(path), ",")
    if path_header := _first_rows(path, own, encoding, 1):
        header = path_header[0]
        if all(name in header for name in wanted) and (wanted or len(header) > 1):
            return own
    others = [mark for mark in DELIMITERS if mark != own]
    if wanted:
        fits = (mark for mark in others if all(name in _header(path, mark, encoding) for name in wanted))
        return next(fits, own)
    return max((own, *others), key=lambda mark: _width(path, mark, encoding))


def _header(path: Path, delimiter: str, encoding: str) -> list[str]:
    return next(iter(_first_rows(path, delimiter, encoding, 1)), [])


def _width(path: Path, delimiter: str, encoding: str) -> int:
    """The number of columns if the first rows agree on it; else 1, as for a delimiter that does not occur."""
    rows = _first_rows(path, delimiter, encoding, SAMPLE_ROWS)
    return len(rows[0]) if rows and len(set(map(len, rows))) == 1 else 1


def _first_rows(path: Path, delimiter: str, encoding: str, count: int) -> list[list[str]]:
    """The first rows that are not blank, with quotes parsed leniently."""
    rows: list[list[str]] = []
    try:
        for row in csv.reader(text_lines(path, encoding), delimiter=delimiter):
            if any(cell.strip() for cell in row):
                rows.append(row)
            if len(rows) == count:
                break
    except csv.Error:  # reading the whole file reports it
        pass
    return rows


@contextmanager
def _long_cells() -> Iterator[None]:
    """Raise the csv module's limit of 131,072 characters in a cell to the longest allowed line."""
    usual = csv.field_size_limit(LONGEST_LINE)
    try:
        yield
    finally:
        csv.field_size_limit(usual)
