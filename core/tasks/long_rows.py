"""Rows that a model cannot read whole with their answer: counted, and refused or left out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from core.run.errors import DataError
from core.tasks.batches import Encoded
from core.tasks.inputs import NO_ROOM, InputFormat, long_rows_hint, too_long
from core.tasks.ragged import Ragged
from core.tasks.task import Split, Task

Splits = Mapping[Split, Encoded]


def without_long_rows(task: Task, splits: Splits, inputs: InputFormat) -> tuple[Task, Splits]:
    """The task and its tokenised splits without the rows whose answer cannot be given; their counts are in `left_out`.

    Raises DataError if there are any and they are not to be left out, or a split is left without rows.
    """
    lost = {split: _lost(encoded, _longest(task, splits, split), inputs) for split, encoded in splits.items()}
    counts: dict[str, int] = {}
    for what in (what for rows in lost.values() for what in rows.values()):
        counts[what] = counts.get(what, 0) + 1
    if not counts:
        return task, splits
    if inputs.on_long_rows == "error":
        told = "; ".join(f"{count:,} rows {what}" for what, count in counts.items())
        raise DataError(f"{told} (of {sum(map(len, splits.values())):,} rows)", long_rows_hint(counts))
    kept = {split: [i for i in range(len(encoded)) if i not in lost[split]] for split, encoded in splits.items()}
    if empty := [split for split, rows in kept.items() if not rows]:
        raise DataError(f"on_long_rows leaves no row for {empty[0]}", long_rows_hint(counts))
    examples = {split: tuple(rows[i] for i in kept[split]) for split, rows in task.splits.items()}
    task = replace(task, splits=examples, left_out={**task.left_out, **counts})
    return task, {split: encoded.only(kept[split]) for split, encoded in splits.items()}


def _lost(encoded: Encoded, answer: int, inputs: InputFormat) -> dict[int, str]:
    """The rows of a split that cannot be answered, with the reason; `answer` is the least room for an answer."""
    limit, found = math.inf if inputs.positions is None else inputs.positions, dict[int, str]()
    written = encoded.labels.lengths if isinstance(encoded.labels, Ragged) else [0] * len(encoded)
    for row, (read, own) in enumerate(zip(encoded.input_ids.lengths, written, strict=True)):
        # An encoder-decoder reads the text and writes the answer in two networks.
        together = max(own, answer) + (0 if inputs.form == "text" else read)
        if not read:
            found[row] = NO_ROOM
        elif together > limit and inputs.form != "head":
            found[row] = too_long(int(limit))
    return found


def _longest(task: Task, splits: Splits, split: Split) -> int:
    """The tokens of the longest answer that is ranked or written after a prompt, whichever its own is."""
    if task.kind != "classification" and split == "train":
        return 0
    labels = splits["train"].labels
    return max(labels.lengths) if isinstance(labels, Ragged) else 0
