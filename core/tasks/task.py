"""What a task is: labelled examples in three splits, and how answers are measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from core.run.tasks import Kind

Split = Literal["train", "validation", "test"]

# What a model answers: the index of a class (-1 for what is none), a number, or a text.
Answer = int | float | str


@dataclass(frozen=True)
class Example:
    """One row: its texts as (field name, text) in order, and the index of its class or its number.

    Where the answer is a text, `answers` holds all that are right, the first of which is what a model learns to write.
    Rows of one `group` are about one question.
    """

    fields: tuple[tuple[str, str], ...]
    label: int | float = 0
    answers: tuple[str, ...] = ()
    group: int | None = None


@dataclass(frozen=True)
class Task:
    """What is to be learned. `labels[i]` is the label string of class i; regression and free text have none.

    `name` is how the source of a text-to-text model begins, `metrics` are names of `core.tasks.metrics`, the first
    of which is the score. Numbers are written to the nearest of `steps` parts of one. After the name of a field stands
    a colon, but for those of `bare`.

    `left_out` counts the rows of its files that could not be used, by what is wrong with them, and `notes` are words on
    how the files were read. `class_weights` has the weight of a row of each class in the loss, and is empty where all
    weigh the same.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    splits: Mapping[Split, tuple[Example, ...]]
    max_length: int
    metrics: tuple[str, ...]
    steps: int = 5
    bare: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    class_weights: tuple[float, ...] = ()

    def without_texts(self) -> Task:
        """The task as it is once it is tokenised: its examples keep what answers are compared with."""
        splits = {split: tuple(replace(row, fields=()) for row in rows) for split, rows in self.splits.items()}
        return replace(self, splits=splits)
