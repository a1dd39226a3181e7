"""The tasks of the paper: their rows, split and in the form in which the paper has them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from core.run.errors import DataError, nearest
from core.run.spec import NamedTask
from core.tasks.formats import answers, fields, group
from core.tasks.order import drawn
from core.tasks.sources import Row, read_rows
from core.tasks.table import ENTRIES, Entry
from core.tasks.task import Example, Split, Task

TABLE = {entry.name: entry for entry in ENTRIES}

# Training rows of a large data set that become its validation rows; never more than half of them.
VALIDATION_ROWS = 2000

UNLABELLED = "rows without labels can be neither learned from nor scored; leave them out"


def load(spec: NamedTask, data_seed: int) -> Task:
    """A task of the table, from the hub or from `data_root`; test files, which the hub has unlabelled, are not read."""
    entry, paper = TABLE[spec.name], spec.flaws == "paper"
    train, held_out = (read_rows(entry, split, spec.data_root) for split in ("train", entry.held_out))
    if entry.size == "large":
        parts = _large(train, held_out, data_seed)
    else:
        parts = _small(train, held_out, _questions(entry, held_out, paper), data_seed)
    return Task(
        name=entry.source,
        kind=entry.kind,
        labels=entry.labels,
        splits={split: _examples(entry, rows, paper, split == "train") for split, rows in parts.items()},
        max_length=spec.max_length or entry.max_length,
        metrics=entry.metrics,
        steps=10 if paper else 5,
        # The paper's code lacks this colon, and so do the sources that its scores are of.
        bare=("hypothesis",) if entry.source == "mnli" else (),
    )


def _large(train: Sequence[Row], held_out: Sequence[Row], data_seed: int) -> Mapping[Split, Sequence[Row]]:
    """Rows for validation come from the training rows."""
    _check_count(train)
    count = min(VALIDATION_ROWS, len(train) // 2)
    chosen, rest = drawn(len(train), count, "validation", data_seed)
    return {"train": [train[i] for i in rest], "validation": [train[i] for i in chosen], "test": held_out}


def _small(
    train: Sequence[Row], held_out: Sequence[Row], questions: Sequence[int], data_seed: int
) -> Mapping[Split, Sequence[Row]]:
    """The held-out rows are halved into validation and test; rows of one question stay together."""
    distinct = list(dict.fromkeys(questions))
    _check_count(held_out, len(distinct))
    chosen = {distinct[i] for i in drawn(len(distinct), len(distinct) // 2, "test", data_seed)[0]}
    parts: dict[Split, list[Row]] = {"train": list(train), "validation": [], "test": []}
    for row, question in zip(held_out, questions, strict=True):
        parts["validation" if question in chosen else "test"].append(row)
    return parts


def _check_count(rows: Sequence[Row], count: int | None = None) -> None:
    if (len(rows) if count is None else count) < 2:
        raise DataError(f"{rows[0].where} has no other to be split from", "two rows, or questions, are the least")


def _questions(entry: Entry, rows: Sequence[Row], paper: bool) -> list[int]:
    """What may not be torn apart: the rows of one question, or, as in the paper's code, no more than a row."""
    if paper or not entry.grouped:
        return list(range(len(rows)))
    return [group(row.values) for row in rows]


def _examples(entry: Entry, rows: Sequence[Row], paper: bool, training: bool) -> tuple[Example, ...]:
    """The rows as a model reads them; where texts are the answers, a training row for each of them."""
    examples = [_example(entry, row, paper) for row in rows]
    if training and entry.kind == "text":
        return tuple(Example(e.fields, answers=(answer,)) for e in examples for answer in e.answers)
    return tuple(examples)


def _example(entry: Entry, row: Row, paper: bool) -> Example:
    try:
        texts = fields(entry, row.values, paper)
        right = answers(entry, row.values)
        question = group(row.values) if entry.grouped else 0
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{row.where} is not of the form that {entry.name!r} has on the hub", str(error)) from None
    if entry.kind == "text" and not right:
        raise DataError(f"{row.where} has no answers", UNLABELLED)
    return Example(texts, _label(entry, row), right, question)


def _label(entry: Entry, row: Row) -> int | float:
    """The index of a class, or a number; 0 where the answer is a text."""
    if entry.kind == "text":
        return 0
    value = row.values["label"]
    if entry.kind == "regression":
        return _number(value, row)
    text = str(int(value)) if isinstance(value, bool) else str(value)
    if text not in entry.labels:
        raise DataError(
            f"{row.where}: the label is {text!r}", UNLABELLED if text == "-1" else nearest(text, entry.labels)
        )
    return entry.labels.index(text)


def _number(value: Any, row: Row) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise DataError(f"{row.where}: the label is {value!r}", UNLABELLED if number == -1 else "it should be a number")
    return number
