"""Rows as CSV and JSON with unrounded numbers, for commands and for exports of the app."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

Form = Literal["table", "json", "csv"]


def as_csv(names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """CSV with a header; unknown values are empty, lists are separated by spaces."""
    table = [names, *([_plain(row[name]) for name in names] for row in rows)]
    return "".join(map(_csv_line, table))


def _csv_line(values: Sequence[Any]) -> str:
    """One line; values that contain a lone carriage return are quoted too."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(values)
    return f"{text.getvalue()[:-2]}\n"


def as_json(**content: Any) -> str:
    """The keyword arguments as a JSON object."""
    return json.dumps(content, indent=1)


def _plain(value: Any) -> Any:
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
