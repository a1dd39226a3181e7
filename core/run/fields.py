"""Validates plain data from JSON files against the type annotations of frozen dataclasses.

A value that passes has exactly the annotated types: an int is never a bool, floats are finite, and
`Annotated[int, Between(0, 10)]` limits the range. The rest of the program relies on this.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Callable, Hashable
from dataclasses import MISSING
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from core.run.errors import quoted, shortened

T = TypeVar("T")
Read = Callable[[Any], Any]

LATER = {"later": True}  # metadata of a field that was added later: older files lack it
LONGEST_TEXT = 2**20  # characters
# Larger than any loss, score or time; sums and squares of smaller numbers stay finite.
LARGEST = 1e100


class WrongError(ValueError):
    """A value does not fit its field: `where` is its path in the data, `rule` says what it should be."""

    def __init__(self, rule: str, where: str = "") -> None:
        super().__init__(f"{where} {rule}" if where else rule)
        self.rule, self.where = rule, where

    def under(self, key: str | int) -> WrongError:
        """The same error with `key` in front of its path."""
        mine = f"[{key}]" if isinstance(key, int) else shortened(key)
        joint = "." if self.where and not self.where.startswith("[") else ""
        return WrongError(self.rule, f"{mine}{joint}{self.where}")


class Between:
    """An annotation: the closed interval of numbers that a field accepts."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high


class Like:
    """An annotation: a JSON object that stays a dict, with the fields that `kind()` annotates checked.

    Fields of a dataclass are required, those of another class optional; further keys are kept.
    """

    def __init__(self, kind: Callable[[], type[Any]]) -> None:
        self.kind = kind


class Made:
    """An annotation: a value made by `how` from a JSON value of the type `kind`."""

    def __init__(self, kind: Any, how: Callable[[Any], Any]) -> None:
        self.kind, self.how = kind, how


Count = Annotated[int, Between(0, 2**63 - 1)]
Positive = Annotated[int, Between(1, 2**63 - 1)]
Share = Annotated[float, Between(0, 1)]
Amount = Annotated[float, Between(0, LARGEST)]
Moment = Annotated[float, Between(0, 2**40)]  # seconds since the epoch, up to a year that a calendar has


def read(kind: Callable[..., T], data: Any) -> T:
    """Validate `data` as a value of a type; raises WrongError, a ValueError, that says what is wrong and where."""
    made: T = reader(kind)(data)
    return made


def event_reader(kind: Any) -> Read:
    """A lenient reader for events: fields with a default may be missing, and null stands for a float that is NaN."""
    return reader(kind, lenient=True)


@functools.cache
def reader(kind: Hashable, lenient: bool = False) -> Read:
    """The function that validates plain data as values of a type."""
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _of_dataclass(kind, lenient)
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if kind in (int, float):
        return _number(kind, None, or_null=lenient)
    origin, inside = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _annotated(inside[0], inside[1])
    if origin is Literal:
        return _choice(inside)
    if origin in (Union, types.UnionType):
        return _one_of([reader(one, lenient) for one in inside], type(None) in inside)
    if origin in (list, tuple):
        one_by_one = _sequence(origin, reader(inside[0], lenient))
        return _shares(one_by_one) if kind == list[Share] else one_by_one
    assert origin is dict, kind
    return _mapping(reader(inside[1], lenient))


def _of_dataclass(kind: type[Any], lenient: bool) -> Read:
    hints = get_type_hints(kind, include_extras=True)
    # For each field: its name, its reader, and whether it is required.
    fields = [(f.name, reader(hints[f.name], lenient), _is_needed(f, lenient)) for f in dataclasses.fields(kind)]

    def make(data: Any) -> Any:
        data, values = _object(data), {}
        for name, take, needed in fields:
            if name in data:
                try:
                    values[name] = take(data[name])
                except WrongError as error:
                    raise error.under(name) from None
            elif needed:
                raise WrongError("is missing", name)
        return kind(**values)

    return make


def _is_needed(one: dataclasses.Field[Any], lenient: bool) -> bool:
    has_default = one.default is not MISSING or one.default_factory is not MISSING
    return not (has_default and (lenient or "later" in one.metadata))


def _text(value: Any) -> str:
    if isinstance(value, str) and len(value) <= LONGEST_TEXT:
        return value
    if isinstance(value, str):
        raise WrongError(f"should be a text of at most {LONGEST_TEXT:,} characters")
    raise WrongError(f"should be a text, not {_quoted(value)}")


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise WrongError(f"should be true or false, not {_quoted(value)}")
    return value


def _nothing(value: Any) -> None:
    if value is not None:
        raise WrongError(f"should be null, not {_quoted(value)}")


def _annotated(kind: Any, how: Between | Like | Made) -> Read:
    if isinstance(how, Between):
        return _number(kind, how)
    return _like(how.kind()) if isinstance(how, Like) else _made(reader(how.kind), how.how)


def _made(take: Read, how: Read) -> Read:
    return lambda value: how(take(value))


def _like(kind: type[Any]) -> Read:
    take = reader(kind) if dataclasses.is_dataclass(kind) else _keys_of(kind)

    def check(value: Any) -> Any:
        take(value)
        return value

    return check


def _keys_of(kind: type[Any]) -> Read:
    keys = {name: reader(hint) for name, hint in get_type_hints(kind, include_extras=True).items()}

    def check(value: Any) -> None:
        value = _object(value)
        for name, take in keys.items():
            if name in value:
                try:
                    take(value[name])
                except WrongError as error:
                    raise error.under(name) from None

    return check


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise WrongError(f"should be an object, not {_quoted(value)}")
    return value


def _anything(value: Any) -> Any:
    return value


_SIMPLE: dict[Any, Read] = {str: _text, bool: _flag, type(None): _nothing, Any: _anything}


def _number(kind: type, between: Between | None, or_null: bool = False) -> Read:
    """A reader of ints or floats; it compares `type`, as `isinstance(True, int)` is true."""
    low, high = (
        (between.low, between.high) if between else (-(2**63), 2**63 - 1) if kind is int else (-LARGEST, LARGEST)
    )

    def real(value: Any) -> Any:
        if type(value) is float or type(value) is int:
            if low <= value <= high:
                return value
        elif value is None and or_null:
            return value
        raise _wrong_number("a number", value, between)

    def whole(value: Any) -> Any:
        if type(value) is int and low <= value <= high:
            return value
        raise _wrong_number("a whole number", value, between)

    return whole if kind is int else real


def _wrong_number(what: str, value: Any, between: Between | None) -> WrongError:
    limits = ""
    if between is not None:
        is_too_large = isinstance(value, (int, float)) and value > between.high
        limits = f" of {between.high:g} or less" if is_too_large else f" of {between.low:g} or more"
        limits = f" from {between.low:g} to {between.high:g}" if between.high == 1 else limits
    return WrongError(f"should be {what}{limits}, not {_quoted(value)}")


def _choice(known: tuple[Any, ...]) -> Read:
    def take(value: Any) -> Any:
        if not isinstance(value, str) or value not in known:
            raise WrongError(f"should be one of {', '.join(known)}, not {_quoted(value)}")
        return value

    return take


def _one_of(readers: list[Read], or_null: bool) -> Read:
    """A reader that tries several in turn; if all refuse the value, the error of the first is raised."""
    first, *others = readers

    def take(value: Any) -> Any:
        if value is None and or_null:
            return None
        try:
            return first(value)
        except WrongError as error:
            for other in others:
                try:
                    return other(value)
                except WrongError:
                    continue
            raise error from None

    return take


def _sequence(kind: type, take: Read) -> Read:
    def make(value: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            raise WrongError(f"should be a list, not {_quoted(value)}")
        made: list[Any] = []
        try:
            for inner in value:
                made.append(take(inner))
        except WrongError as error:
            raise error.under(len(made)) from None
        return made if kind is list else tuple(made)

    return make


def _shares(one_by_one: Read) -> Read:
    """A reader of a list of probabilities, checked all at once: a thousand come several times a second."""

    def make(value: Any) -> Any:
        # A sum with a NaN is NaN, for which >= 0 is false.
        if type(value) is list and {float} == set(map(type, value)) and min(value) >= 0 and max(value) <= 1:
            return value if sum(value) >= 0 else one_by_one(value)
        return one_by_one(value)

    return make


def _mapping(take: Read) -> Read:
    def make(value: Any) -> Any:
        made, key = {}, ""
        table = _object(value)
        try:
            for key, inner in table.items():
                made[key] = take(inner)
        except WrongError as error:
            raise error.under(key) from None
        return made

    return make


def _quoted(value: Any) -> str:
    return quoted(value, mapping="an object")
