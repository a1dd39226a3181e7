"""Reading of jsonl files, one JSON object per line, and of json files, which hold a list of objects."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.run.errors import DataError, quoted
from core.tasks.content import MOST_ROWS, Content, Layout, check_names, no_rows, too_many_rows
from core.tasks.encodings import encoding_of
from core.tasks.faults import Faults
from core.tasks.opening import BLOCK_BYTES, opened
from core.tasks.textlines import text_lines

UNREADABLE = "are not JSON objects that can be read"


class _TwiceError(ValueError):
    """An object has the same name twice."""


class _Table:
    """The wanted columns, filled row by row."""

    def __init__(self, path: Path, wanted: Sequence[str]) -> None:
        self.path, self.known = path, dict[str, None]()
        self.columns: dict[str, list[Any]] = {name: [] for name in wanted}
        self.numbers: list[int] = []

    def add(self, number: int, row: dict[str, Any]) -> None:
        """Add a row; missing values are None."""
        self.known.update(dict.fromkeys(row))
        for name, column in self.columns.items():
            column.append(row.get(name))
        self.numbers.append(number)
        if len(self.numbers) > MOST_ROWS:
            raise too_many_rows(self.path)

    def content(self, faults: Faults, encoding: str) -> Content:
        """The columns; raises DataError if there are no rows or a column is missing."""
        if not self.numbers and not faults:
            raise no_rows(self.path)
        if self.numbers:
            check_names(str(self.path), list(self.columns), list(self.known))
        columns = {name: _one_type(column) for name, column in self.columns.items()}
        found = Layout(encoding=encoding)
        return Content(str(self.path), columns, self.numbers, list(self.known), faults, found)


def read_jsonl(path: Path, wanted: Sequence[str], layout: Layout) -> Content:
    """Read the columns of these names, None for missing values; lines that are not objects are added to the faults."""
    encoding = layout.encoding or encoding_of(path)
    table, faults = _Table(path, wanted), Faults(str(path), "line")
    for number, line in enumerate(text_lines(path, encoding), 1):
        if line.isspace():
            continue
        row = _parsed(line)
        if isinstance(row, str):
            faults.add(number, f"line {number} {row}", UNREADABLE)
        else:
            table.add(number, row)
    return table.content(faults, encoding)


def read_json(path: Path, wanted: Sequence[str], layout: Layout) -> Content:
    """Read a list of objects, or an object that holds one such list; a jsonl file with this extension is read too."""
    encoding = layout.encoding or encoding_of(path)
    if _has_lines(path, encoding):
        return read_jsonl(path, wanted, layout)
    table, faults = _Table(path, wanted), Faults(str(path), "row")
    for number, row in enumerate(_list_in(path, _document(path, encoding)), 1):
        if isinstance(row, dict):
            table.add(number, row)
        else:
            faults.add(number, f"row {number} is not a JSON object", UNREADABLE)
    return table.content(faults, encoding)


def _has_lines(path: Path, encoding: str) -> bool:
    """Whether the file is a jsonl: the first line that is not blank is an object, and another line follows."""
    lines = (line for line in text_lines(path, encoding) if not line.isspace())
    first = next(lines, "")
    return isinstance(_parsed(first), dict) and next(lines, None) is not None


def _document(path: Path, encoding: str) -> Any:
    """The parsed content of a JSON file."""
    with opened(path) as file:
        data = b"".join(iter(lambda: file.read(BLOCK_BYTES), b""))
    if not data.strip():
        raise no_rows(path)
    try:
        text = data.decode(encoding)
        del data
        document = json.loads(text, object_pairs_hook=_distinct)
        if "\\ud" in text.lower():
            json.dumps(document, ensure_ascii=False).encode()
        return document
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} {_fault(error)}", "correct the file") from None


def _list_in(path: Path, document: Any) -> list[Any]:
    """The list of rows: the document, or the one list of objects in it."""
    if isinstance(document, dict):
        lists = {name: value for name, value in document.items() if _is_table(value)}
        if len(lists) > 1:
            names = ", ".join(quoted(name) for name in list(lists)[:5])
            raise DataError(
                f"{path} holds several lists of objects ({names})", "save the one to use in a file of its own"
            )
        document = next(iter(lists.values()), None)
    if not isinstance(document, list):
        raise DataError(f"{path} holds no list of objects", 'write [{"text": ..., "label": ...}, ...]')
    if not document:
        raise no_rows(path)
    return document


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _parsed(line: str) -> dict[str, Any] | str:
    """The object in a line, or what is wrong with the line."""
    try:
        row = json.loads(line, object_pairs_hook=_distinct)
        if "\\ud" in line.lower():
            json.dumps(row, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        return _fault(error)
    return row if isinstance(row, dict) else "is not a JSON object"


def _fault(error: ValueError | RecursionError) -> str:
    """Why a text cannot be parsed as JSON."""
    if isinstance(error, json.JSONDecodeError):
        place = f"column {error.colno}" if error.lineno == 1 else f"line {error.lineno}, column {error.colno}"
        return f"is not JSON ({error.msg}, {place})"
    if isinstance(error, RecursionError):
        return "has too many brackets inside each other"
    if isinstance(error, UnicodeEncodeError):
        return "has half of a character (\\ud800 to \\udfff stand in pairs)"
    if isinstance(error, UnicodeDecodeError):
        return f"is not {'UTF-8' if error.encoding == 'utf-8' else error.encoding}"
    if isinstance(error, _TwiceError):
        return f"has {quoted(error.args[0])} twice"
    return "has a number of too many digits"


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object from its pairs; raises _TwiceError if a name is repeated."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _TwiceError(Counter(name for name, _ in pairs).most_common(1)[0][0])
    return found


def _one_type(column: list[Any]) -> list[Any]:
    """Convert a column of numbers to floats if one of them has a decimal point, as in a parquet file."""
    kinds = set(map(type, column)) - {type(None)}
    if kinds == {int, float}:
        return [x if x is None else _float(x) for x in column]
    return column


def _float(number: float) -> float:
    """An integer as a float; infinity if it is too large."""
    return float(str(number))
