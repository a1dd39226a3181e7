"""Reading of jsonl files: one JSON object per line."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.run.errors import DataError, quoted
from core.tasks.content import MOST_ROWS, Content, check_names, no_rows, too_many_rows
from core.tasks.textlines import text_lines


class _TwiceError(ValueError):
    """An object has the same name twice."""


def read_jsonl(path: Path, wanted: Sequence[str]) -> Content:
    """Read the columns of these names, None for missing values; raises DataError that names the line at fault."""
    known: dict[str, None] = {}
    columns: dict[str, list[Any]] = {name: [] for name in wanted}
    lines: list[int] = []
    for number, line in enumerate(text_lines(path), 1):
        if line.isspace():
            continue
        row = _parsed(path, number, line)
        known.update(dict.fromkeys(row))
        for name, column in columns.items():
            column.append(row.get(name))
        lines.append(number)
        if len(lines) > MOST_ROWS:
            raise too_many_rows(path)
    if not lines:
        raise no_rows(path)
    check_names(str(path), wanted, list(known))
    return Content(str(path), {name: _one_type(column) for name, column in columns.items()}, "line", lines)


def _parsed(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line, object_pairs_hook=_distinct)
        if "\\ud" in line.lower():
            json.dumps(row, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        fault = f"is not JSON ({error.msg}, column {error.colno})"
    except RecursionError:
        fault = "has too many brackets inside each other"
    except UnicodeEncodeError:
        fault = "has half of a character (\\ud800 to \\udfff stand in pairs)"
    except _TwiceError as error:
        fault = f"has {quoted(error.args[0])} twice"
    except ValueError:
        fault = "has a number of too many digits"
    else:
        if isinstance(row, dict):
            return row
        fault = "is not a JSON object"
    raise DataError(f"{path}: line {number} {fault}", "correct the line or remove it")


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
