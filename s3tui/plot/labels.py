"""Texts of runs as labels of a picture."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from s3tui.runs.curves import Curve
from s3tui.text.sanitize import clean

LONGEST = 120  # characters; a longer one keeps its ends

T = TypeVar("T")


def labelled(data: T) -> T:
    """The same data with each text of it fit to stand in a picture."""
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
    # A label that begins with `_` is one that matplotlib leaves out of legends.
    return f" {text}" if text.startswith("_") else text
