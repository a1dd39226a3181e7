"""What is known after the test: metrics, their uncertainty, a baseline without a model, and the predictions."""

from __future__ import annotations

import io
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from core.tasks.metrics import evaluate
from core.tasks.task import Answer, Example, Task
from core.tasks.uncertainty import standard_error


@dataclass(frozen=True)
class Tested:
    """The predictions for the rows of the test split, in their order; numbers of classes, numbers or texts."""

    task: Task
    predictions: Sequence[Answer]

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
        """
        import pyarrow  # type: ignore[import-untyped]
        import pyarrow.parquet  # type: ignore[import-untyped]

        table = pyarrow.table(
            {
                "row": pyarrow.array(range(len(self._rows)), pyarrow.int32()),
                "target": [_target(example, self.task) for example in self._rows],
                "prediction": [_written(prediction, self.task) for prediction in self.predictions],
            }
        )
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
