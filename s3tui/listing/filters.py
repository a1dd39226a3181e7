"""Filters and sort keys of the table of runs."""

from __future__ import annotations

import fnmatch
import operator
import re
import shlex
from collections.abc import Callable, Iterable, Sequence

from core.run.errors import UsageError, nearest
from s3tui.listing.columns import COLUMNS, Column, by_filter
from s3tui.listing.run_row import Line

_COMPARE = {
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
    "=": operator.eq,
    ":": operator.eq,
}
_TERM = re.compile(r"(-?)(\w+)(>=|<=|[:=<>])(.*)", re.DOTALL)


def parse_filter(words: Iterable[str]) -> Callable[[Line], bool]:
    """A filter from terms such as `status:running`, `test>80`, `-tag:old`; a word alone matches part of a name.

    All terms must hold. Texts may be patterns, or several ones separated by commas; a leading `-` negates.
    """
    terms = [_term(term) for word in words for term in _split(word)]
    return lambda line: all(term(line) for term in terms)


def _term(text: str) -> Callable[[Line], bool]:
    match = _TERM.fullmatch(text)
    if match is None:
        wanted, negated = text.lstrip("-"), text.startswith("-")
        return lambda line: (wanted in line.name) != negated
    minus, key, sign, value = match.groups()
    columns = by_filter()
    if key not in columns:
        raise UsageError(f"{text!r} is no filter: there is no {key!r}", nearest(key, columns))
    column = columns[key]
    if column.kind == "number":
        return _number_term(column, sign, value, bool(minus))
    if sign not in (":", "="):
        raise UsageError(f"{text!r} is no filter: {key} is no number", f"write {key}:{value or 'VALUE'}")
    return _text_term(column, value, bool(minus))


def _number_term(column: Column, sign: str, value: str, negated: bool) -> Callable[[Line], bool]:
    try:
        number = float(value)
    except ValueError:
        raise UsageError(f"{column.name}{sign}{value} is no filter: {value!r} is no number") from None
    compare = _COMPARE[sign]

    def holds(line: Line) -> bool:
        mine = column.of(line)
        return (mine is not None and compare(_shown(mine, column), number)) != negated

    return holds


def _shown(value: float, column: Column) -> float:
    """The value as it is shown: 61.25 points compare as equal to `test:61.25`."""
    return value if column.scale == 1 else round(column.scale * value, 2)


def _text_term(column: Column, value: str, negated: bool) -> Callable[[Line], bool]:
    patterns = value.split(",")

    def holds(line: Line) -> bool:
        mine: Sequence[str] = column.of(line) if column.kind == "texts" else (column.of(line) or "",)
        return any(fnmatch.fnmatchcase(text, pattern) for text in mine for pattern in patterns) != negated

    return holds


def sorted_lines(lines: Iterable[Line], key: str) -> list[Line]:
    """Sort by one column, descending with a leading `-`; lines without a value come last."""
    down, name = key.startswith("-"), key.lstrip("-")
    if name not in COLUMNS:
        raise UsageError(f"lines cannot be sorted by {name!r}", nearest(name, COLUMNS))
    value = COLUMNS[name].of
    lines = sorted(lines, key=lambda line: line.name)
    have = [line for line in lines if value(line) is not None]
    rest = [line for line in lines if value(line) is None]
    return sorted(have, key=value, reverse=down) + rest


def _split(word: str) -> list[str]:
    try:
        return shlex.split(word)
    except ValueError:
        raise UsageError(f"{word!r} is no filter: a quote is not closed, or nothing follows a backslash") from None
