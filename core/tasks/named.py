"""Loads the named tasks of the paper, split and formatted as in its code."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.run.errors import DataError, nearest
from core.run.task_spec import NamedTask
from core.run.tasks import ENTRIES, Entry
from core.tasks.formats import answers, fields, group
from core.tasks.order import drawn
from core.tasks.sources import Row, file_of, read_rows
from core.tasks.task import Example, Split, Task

Splits = dict[Split, tuple[Example, ...]]

TABLE = {entry.name: entry for entry in ENTRIES}

# Training rows of a large data set that become its validation rows; at most half of them.
VALIDATION_ROWS = 2000

UNLABELLED = "rows without labels can be neither learned from nor scored; leave them out"


def load(spec: NamedTask, data_seed: int) -> Task:
    """Load a named task from the hub or from `data_root`; test files, which are unlabelled on the hub, are not read."""
    entry, paper = TABLE[spec.name], spec.flaws == "paper"
    train, held_out = (
        [_example(entry, row, paper) for row in read_rows(entry, split, spec.data_root)]
        for split in ("train", entry.held_out)
    )
    splits = _large(train, held_out, data_seed) if entry.size == "large" else _small(train, held_out, paper, data_seed)
    if not all(splits.values()):
        raise DataError(f"task {spec.name!r} has too few rows to split", "two rows, or two questions, are the least")
    return Task(
        name=entry.source,
        kind=entry.kind,
        labels=entry.labels,
        splits=splits | {"train": _one_for_each_answer(splits["train"])},
        max_length=spec.max_length or entry.max_length,
        metrics=entry.metrics,
        steps=10 if paper else 5,
        # The paper's code omits this colon, so its scores are for source texts without it.
        bare=("hypothesis",) if entry.source == "mnli" else (),
    )


def data_files(spec: NamedTask) -> list[Path] | None:
    """The files that `load` reads; None if the rows come from the hub."""
    entry = TABLE[spec.name]
    if spec.data_root is None:
        return None
    return [file_of(entry, split, Path(spec.data_root)) for split in ("train", entry.held_out)]


def _large(train: Sequence[Example], held_out: Sequence[Example], data_seed: int) -> Splits:
    """Splits of a large data set: validation rows are taken from the training rows."""
    count = min(VALIDATION_ROWS, len(train) // 2)
    chosen, rest = drawn(len(train), count, "validation", data_seed)
    return {
        "train": tuple(train[i] for i in rest),
        "validation": tuple(train[i] for i in chosen),
        "test": tuple(held_out),
    }


def _small(train: Sequence[Example], held_out: Sequence[Example], torn: bool, data_seed: int) -> Splits:
    """Splits of a small data set: held-out rows are halved; rows of one question stay together unless `torn`."""
    questions = [i if torn or row.group is None else row.group for i, row in enumerate(held_out)]
    distinct = list(dict.fromkeys(questions))
    chosen = {distinct[i] for i in drawn(len(distinct), len(distinct) // 2, "test", data_seed)[0]}
    rows = list(zip(held_out, questions, strict=True))
    return {
        "train": tuple(train),
        "validation": tuple(row for row, question in rows if question in chosen),
        "test": tuple(row for row, question in rows if question not in chosen),
    }


def _one_for_each_answer(rows: Sequence[Example]) -> tuple[Example, ...]:
    """Training rows; a row with several answers is repeated with each of them."""
    return tuple(replace(row, answers=(answer,)) for row in rows for answer in row.answers) or tuple(rows)


def _example(entry: Entry, row: Row, paper: bool) -> Example:
    try:
        texts = fields(entry, row.values, paper)
        right = answers(entry, row.values)
        question = group(row.values) if entry.grouped else None
    except (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError) as error:
        raise DataError(f"{row.where} is not of the form that {entry.name!r} has on the hub", str(error)) from None
    if entry.kind == "text" and not right:
        raise DataError(f"{row.where} has no answers", UNLABELLED)
    return Example(texts, _label(entry, row), right, question)


def _label(entry: Entry, row: Row) -> int | float:
    """The index of a class, or a number; 0 if the answer is a text."""
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
    except (OverflowError, TypeError, ValueError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise DataError(f"{row.where}: the label is {value!r}", UNLABELLED if number == -1 else "it should be a number")
    return number
