"""Makes texts of runs safe and short enough for labels of a plot."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from s3tui.runs.curves import Curve
from s3tui.text.sanitize import clean

LONGEST = 120  # characters; of a longer label the middle is left out

T = TypeVar("T")


def labelled(data: T) -> T:
    """The same data with every text converted to a label."""
    return _labelled(data)  # type: ignore[no-any-return]


def _labelled(data: Any) -> Any:
    if isinstance(data, str):
        return label(data)
    if isinstance(data, (tuple, list)):
        return type(data)(map(_labelled, data))
    if is_dataclass(data) and not isinstance(data, (type, Curve)):
        return replace(data, **{field.name: _labelled(getattr(data, field.name)) for field in fields(data)})
    return data


def label(text: str) -> str:
    """A text as a label."""
    text = clean(text)
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]}…{text[-LONGEST // 2 :]}"
    # matplotlib omits labels that begin with `_` from legends.
    return f" {text}" if text.startswith("_") else text
