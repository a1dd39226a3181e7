"""What is known after the test: metrics, their uncertainty, a baseline without a model, and the predictions."""

from __future__ import annotations

import io
import json
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from core.run.resampling import LABELS
from core.tasks.metrics import evaluate
from core.tasks.task import Answer, Example, Task
from core.tasks.uncertainty import standard_error

MOST_PROBABILITIES = 2_000_000  # in a file: 8 MB before they are compressed
DIGITS = 4  # of a probability, after the point


@dataclass(frozen=True)
class Tested:
    """The predictions for the rows of the test split, in their order; numbers of classes, numbers or texts.

    `probabilities` are those of the classes for each row, None where there are none.
    """

    task: Task
    predictions: Sequence[Answer]
    probabilities: Sequence[list[float] | None]

    @cached_property
    def metrics(self) -> dict[str, float]:
        """The metrics, of which the first is the score."""
        return evaluate(self.task.metrics, self.predictions, self._rows)

    def facts(self) -> dict[str, Any]:
        """The fields of `result.json` about the test beside the metrics.

        `rows` is the number of test rows, `standard_error` that of the score by a bootstrap over them, `constant` the
        metrics of always giving the same answer: the most frequent one of the training split, or its mean.
        """
        return {
            "rows": len(self._rows),
            "standard_error": standard_error(self.task.metrics[0], self.predictions, self._rows),
            "constant": evaluate(
                self.task.metrics, [_constant(self.task.splits["train"], self.task)] * len(self._rows), self._rows
            ),
        }

    def parquet(self) -> bytes:
        """The content of `predictions.parquet`: for each row its number, the target and the prediction.

        Classes are their label strings, null for an answer that is no label; free text has a list of right answers.
        The column `probabilities`, in the order of `labels` in the metadata of the file, is left out where a model
        writes its answers, and where there would be more than MOST_PROBABILITIES numbers.
        """
        import pyarrow  # type: ignore[import-untyped]
        import pyarrow.parquet  # type: ignore[import-untyped]

        columns = {
            "row": pyarrow.array(range(len(self._rows)), pyarrow.int32()),
            "target": [_target(example, self.task) for example in self._rows],
            "prediction": [_written(prediction, self.task) for prediction in self.predictions],
        }
        if None not in self.probabilities and len(self._rows) * len(self.task.labels) <= MOST_PROBABILITIES:
            # Rounded, as digits that nobody reads make most of the size.
            rounded = [[round(p, DIGITS) for p in row or ()] for row in self.probabilities]
            columns["probabilities"] = pyarrow.array(rounded, pyarrow.list_(pyarrow.float32()))
        table = pyarrow.table(columns, metadata={LABELS: json.dumps(self.task.labels)})
        made = io.BytesIO()
        pyarrow.parquet.write_table(table, made, compression="zstd")
        return made.getvalue()

    @property
    def _rows(self) -> Sequence[Example]:
        return self.task.splits["test"]


def _constant(rows: Sequence[Example], task: Task) -> Answer:
    """The answer that is the best guess without reading: the most frequent one (the first of equals), or the mean."""
    if task.kind == "regression":
        return statistics.fmean(row.label for row in rows)
    answers = [row.answers[0] if task.kind == "text" else int(row.label) for row in rows]
    return Counter(answers).most_common(1)[0][0]


def _target(example: Example, task: Task) -> Any:
    if task.kind == "text":
        return list(example.answers)
    return task.labels[int(example.label)] if task.kind == "classification" else float(example.label)


def _written(prediction: Answer, task: Task) -> Any:
    if task.kind == "classification":
        number = int(prediction)
        return task.labels[number] if number >= 0 else None
    return float(prediction) if task.kind == "regression" else prediction
