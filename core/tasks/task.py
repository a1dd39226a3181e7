"""What a task is: labelled examples in three splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["classification", "regression"]
Split = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Example:
    """One row: its texts as (field name, text) in order, and the index of its class or its number."""

    fields: tuple[tuple[str, str], ...]
    label: int | float


@dataclass(frozen=True)
class Task:
    """What is to be learned. `labels[i]` is the label string of class i; regression has none."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    splits: Mapping[Split, tuple[Example, ...]]
    max_length: int
