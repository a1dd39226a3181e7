"""Parsing of untrusted JSON: limits on size, depth and numbers; no NaN and no infinities."""

from __future__ import annotations

import json
from collections.abc import Iterable
from sys import intern
from typing import Any

LONGEST_BYTES = 2**24  # the structure of a space of 10,000 candidates takes 3 MB
DEEPEST = 64  # levels of nesting; our own files have 7
_DIGITS = 20  # most characters of an integer of 64 bits, sign included
_SAFE_DIGITS = 19  # an integer of fewer characters has at most 64 bits
_LONGEST_KEY = 60  # characters of a key in a message
_NESTED = frozenset({dict, list})
_INFINITIES = (float("inf"), float("-inf"))


def parse_json(data: bytes) -> Any:
    """Parse a JSON text; raises ValueError if it is invalid, too long or nested too deeply.

    NaN, infinities, integers beyond 64 bits, and a key that occurs twice in one object are refused too.
    """
    if len(data) > LONGEST_BYTES:
        raise ValueError(f"it has more than {LONGEST_BYTES // 2**20} MiB")
    try:
        value = _DECODER.decode(data.decode(json.detect_encoding(data)))
    except RecursionError:
        raise ValueError(f"it is nested more than {DEEPEST} deep") from None
    if data.count(b"[") + data.count(b"{") > DEEPEST:
        _check_depth(value)
    return value


def _check_depth(value: Any) -> None:
    """Raise ValueError if the data are nested too deeply; level by level, as recursion could overflow the stack."""
    level = [value]
    for _ in range(DEEPEST):
        # Most objects hold none, which is told faster of all of their values at once.
        level = [inner for outer in level if _holds(outer) for inner in _inside(outer) if type(inner) in _NESTED]
        if not level:
            return
    raise ValueError(f"it is nested more than {DEEPEST} deep")


def _holds(value: dict[str, Any] | list[Any]) -> bool:
    return not _NESTED.isdisjoint(map(type, _inside(value)))


def _inside(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def _whole(text: str) -> int:
    if len(text) < _SAFE_DIGITS:
        return int(text)
    value = int(text) if len(text) <= _DIGITS else 2**63
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"{text[:_DIGITS]}... is a number beyond 64 bits")
    return value


def _real(text: str) -> float:
    value = float(text)
    if value in _INFINITIES:
        raise ValueError(f"{text[:_DIGITS]} is too large a number")
    return value


def _constant(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Thousands of files say much the same, which is kept once.
    made = {intern(key): intern(value) if type(value) is str else value for key, value in pairs}
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in made if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:_LONGEST_KEY]!r} stands twice in one object")
    return made


_DECODER = json.JSONDecoder(parse_int=_whole, parse_float=_real, parse_constant=_constant, object_pairs_hook=_object)
