"""Filters and sort keys of the runs table."""

from __future__ import annotations

import fnmatch
import operator
import re
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields

from core.run.errors import UsageError, nearest
from s3tui.listing.run_row import Line

NUMBERS = (
    "seed", "step", "score", "best", "parameters", "used", "budget", "train_loss", "validation_loss", "seconds", "left",
    "priority",
)  # fmt: skip
TEXTS = ("name", "suite", "status", "task", "method", "model", "phase", "device", "tag")
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
    """A filter of lines from words as `status:running`, `score>0.8`, `-tag:old`; a word alone is part of a name.

    All of them must hold. Texts may be patterns, or several with commas between; `-` in front says no.
    """
    terms = [_term(term) for word in words for term in _split(word)]
    return lambda line: all(term(line) for term in terms)


def _term(text: str) -> Callable[[Line], bool]:
    match = _TERM.fullmatch(text)
    if match is None:
        wanted, negated = text.lstrip("-"), text.startswith("-")
        return lambda line: (wanted in line.name) != negated
    minus, key, sign, value = match.groups()
    if key in NUMBERS:
        return _number_term(key, sign, value, bool(minus))
    if key not in TEXTS:
        raise UsageError(f"{text!r} is no filter: there is no {key!r}", nearest(key, (*TEXTS, *NUMBERS)))
    if sign not in (":", "="):
        raise UsageError(f"{text!r} is no filter: {key} is no number", f"write {key}:{value or 'VALUE'}")
    return _text_term(key, value, bool(minus))


def _number_term(key: str, sign: str, value: str, negated: bool) -> Callable[[Line], bool]:
    try:
        number = float(value)
    except ValueError:
        raise UsageError(f"{key}{sign}{value} is no filter: {value!r} is no number") from None
    compare = _COMPARE[sign]

    def holds(line: Line) -> bool:
        mine = getattr(line, key)
        return (mine is not None and compare(mine, number)) != negated

    return holds


def _text_term(key: str, value: str, negated: bool) -> Callable[[Line], bool]:
    patterns = value.split(",")

    def holds(line: Line) -> bool:
        mine: Sequence[str] = line.tags if key == "tag" else (getattr(line, key),)
        return any(fnmatch.fnmatchcase(text, pattern) for text in mine for pattern in patterns) != negated

    return holds


def sorted_lines(lines: Iterable[Line], key: str) -> list[Line]:
    """By one column, `-` in front for the largest first; what has no value there comes last."""
    down, name = key.startswith("-"), key.lstrip("-")
    known = [field.name for field in fields(Line)]
    if name not in known:
        raise UsageError(f"lines cannot be sorted by {name!r}", nearest(name, known))
    lines = sorted(lines, key=lambda line: line.name)
    have = [line for line in lines if getattr(line, name) is not None]
    rest = [line for line in lines if getattr(line, name) is None]
    return sorted(have, key=lambda line: getattr(line, name), reverse=down) + rest


def _split(word: str) -> list[str]:
    try:
        return shlex.split(word)
    except ValueError:
        raise UsageError(f"{word!r} is no filter: a quote is not closed, or nothing follows a backslash") from None
