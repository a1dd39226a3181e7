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
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _plain(row[name]) for name in names} for row in rows)
    return text.getvalue()


def as_json(**content: Any) -> str:
    """One object."""
    return json.dumps(content, indent=1)


def _plain(value: Any) -> Any:
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
