"""Types of values in TOML tables, for fields of pydantic models: each says in plain words what it takes."""

from __future__ import annotations

import re
from functools import partial
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic_core import PydanticCustomError

RULE = "rule"  # the type of errors whose message is `rule` of their context
UNITS = {"MB": 10**6, "GB": 10**9, "TB": 10**12, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
MOST = 10**9  # of any whole number here
MOST_BYTES = 10**15


class Table(BaseModel):
    """A table of a TOML file: keys that are not its own are errors, and no value is converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def fault(rule: str) -> PydanticCustomError:
    """What a validator raises, with what is said of the value."""
    return PydanticCustomError(RULE, "{rule}", {"rule": rule})


def _whole(least: int | None, value: Any) -> Any:
    if not isinstance(value, int) or isinstance(value, bool) or (least is not None and value < least):
        raise fault("should be a whole number" + ("" if least is None else f" of {least} or more"))
    if abs(value) > MOST:
        raise fault(f"should be a whole number of at most {MOST:,}")
    return value


def _bytes(value: Any) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([MGT]i?B)", value, re.IGNORECASE) if isinstance(value, str) else None
    if match is None:
        raise fault('should be a size in quotes, as in "20GB"')
    size = float(match[1]) * UNITS[match[2].upper()]
    if size > MOST_BYTES:
        raise fault(f"should be at most {MOST_BYTES // UNITS['TB']:,}TB")
    return int(size)


def _line(value: Any) -> Any:
    if not isinstance(value, str) or not value or "\n" in value:
        raise fault("should be a text")
    return value


def _table(example: str, value: Any) -> Any:
    if not isinstance(value, dict):
        raise fault(f"should be a table, as in {example}")
    return value


def table_like(example: str) -> BeforeValidator:
    """Has a field say how a table for it is written."""
    return BeforeValidator(partial(_table, example))


Whole = Annotated[int, BeforeValidator(partial(_whole, None))]
Natural = Annotated[int, BeforeValidator(partial(_whole, 0))]
Positive = Annotated[int, BeforeValidator(partial(_whole, 1))]
Bytes = Annotated[int, BeforeValidator(_bytes)]  # a size like "20GB"
Line = Annotated[str, BeforeValidator(_line)]  # a text of one line
