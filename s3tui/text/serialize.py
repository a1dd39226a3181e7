"""Rows as CSV and as JSON, numbers unrounded: what commands print and the app exports."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

Form = Literal["table", "json", "csv"]


def as_csv(names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """A header and a line for each row; what is unknown is empty, a list has blanks between its words."""
    table = [names, *([_plain(row[name]) for name in names] for row in rows)]
    return "".join(map(_csv_line, table))


def _csv_line(values: Sequence[Any]) -> str:
    """One line. A writer quotes what holds a character of its line ends, and a lone carriage return ends a line too."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(values)
    return f"{text.getvalue()[:-2]}\n"


def as_json(**content: Any) -> str:
    """One object."""
    return json.dumps(content, indent=1)


def _plain(value: Any) -> Any:
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
