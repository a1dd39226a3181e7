"""The Task type: labelled examples in three splits, with metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from core.run.tasks import Kind

Split = Literal["train", "validation", "test"]

# A predicted answer: the index of a class (-1 for none), a number, or a text.
Answer = int | float | str


@dataclass(frozen=True)
class Example:
    """One row: its texts as (field name, text) in order, and the index of its class or its number.

    If the answer is a text, `answers` holds all correct ones; the first is the training target. Rows of the same
    `group` belong to one question.
    """

    fields: tuple[tuple[str, str], ...]
    label: int | float = 0
    answers: tuple[str, ...] = ()
    group: int | None = None


@dataclass(frozen=True)
class Task:
    """A task. `labels[i]` is the label string of class i; regression and free text have none.

    Source texts of text-to-text models begin with `name`; `metrics` are names of `core.tasks.metrics`, the first of
    which is the score. Target numbers are rounded to multiples of 1 / `steps`. A field's name is followed by a colon,
    except for fields in `bare`.

    `left_out` counts the rows of the files that could not be used, by what is wrong with them; `notes` are sentences on
    how the files were read. `class_weights` are the weights of the classes in the training loss, empty if all are 1.
    Once tokenised, `prompt` is what a model reads that reads prompts, with the names of fields in braces.
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
    prompt: str = ""

    def without_texts(self) -> Task:
        """The task without texts, as after tokenising: examples keep only what answers are compared with."""
        splits = {split: tuple(replace(row, fields=()) for row in rows) for split, rows in self.splits.items()}
        return replace(self, splits=splits)
