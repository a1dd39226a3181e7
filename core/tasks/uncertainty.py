"""Standard errors of metrics: how far a score would move on other test rows of the same kind.

The bootstrap (Efron, 1979): rows are drawn with replacement, as many as there are, and the metric is computed on each
draw; the standard deviation of these values is the standard error. All draws are computed together, as arrays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from core.run.resampling import OF_CELLS, OF_NUMBERS, Values, parts
from core.tasks.metrics import METRICS
from core.tasks.task import Answer, Example

if TYPE_CHECKING:
    import numpy as np


def standard_error(
    metric: str, predictions: Sequence[Answer], examples: Sequence[Example], seed: int = 0
) -> float | None:
    """The bootstrap standard error of a metric over RESAMPLES draws of the rows; None for fewer than two rows.

    Rows of one question are drawn together where the metric is one of questions.
    """
    import numpy as np

    if len(examples) < 2:
        return None
    random = np.random.default_rng(seed)
    values = np.concatenate(list(_resampled(metric, predictions, examples, random)))
    return float(values.std(ddof=1))


def _resampled(
    metric: str, predictions: Sequence[Any], examples: Sequence[Example], random: np.random.Generator
) -> Iterator[Values]:
    """The values of the metric on RESAMPLES draws, in parts that fit the memory."""
    import numpy as np

    if metric in OF_CELLS:
        pairs = np.array([(int(e.label), int(p)) for e, p in zip(examples, predictions, strict=True)])
        cells, counts = np.unique(pairs, axis=0, return_counts=True)
        for size in parts(len(cells)):
            yield OF_CELLS[metric](random.multinomial(len(pairs), counts / len(pairs), size), *cells.T)
        return
    if metric in OF_NUMBERS:
        x, y = np.array(predictions, float), np.array([example.label for example in examples], float)
        for size in parts(len(x)):
            rows = random.integers(len(x), size=(size, len(x)))
            yield OF_NUMBERS[metric](x[rows], y[rows])
        return
    single = np.array(_scores(metric, predictions, examples))
    for size in parts(len(single)):
        yield single[random.integers(len(single), size=(size, len(single)))].mean(1)


def _scores(metric: str, predictions: Sequence[Any], examples: Sequence[Example]) -> list[float]:
    """The metric of each row alone, or of each question; the metric of the whole is their mean."""
    if metric != "question_exact_match":
        return [METRICS[metric]([p], [example]) for p, example in zip(predictions, examples, strict=True)]
    right: dict[int | None, bool] = {}
    for prediction, example in zip(predictions, examples, strict=True):
        right[example.group] = right.get(example.group, True) and prediction == example.label
    return [float(value) for value in right.values()]
