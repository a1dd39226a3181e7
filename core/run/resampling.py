"""Metrics as functions of arrays, so that those of a thousand draws of the rows are computed at once.

The worker takes the standard error of a score from them, the manager the difference of two runs on the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from operator import eq
from typing import Any

from core.run.answers import MEASURES, score

Values = Any  # numpy arrays; numpy types what is done with them here as Any

# The key of the label strings, in their order, in the metadata of `predictions.parquet`.
LABELS = "labels"
RESAMPLES = 1000
AT_ONCE = 2**22  # numbers in one array: 32 MiB


def variance_of_difference(
    metric: str, targets: Sequence[Any], pairs: Sequence[tuple[Sequence[Any], Sequence[Any]]], labels: Sequence[str]
) -> float | None:
    """The variance, over draws of the test rows, of the mean difference in a metric between pairs of predictions.

    With k pairs (a_i, b_i) of predictions for the same rows, D = 1/k sum (metric(a_i) - metric(b_i)). Every draw takes
    the same rows, with replacement, for all of them, so what is hard for both cancels out (the paired bootstrap; Efron
    and Tibshirani, 1993, chapter 8). D is a mean over n rows if the metric is one, such as the accuracy: its variance
    over all draws is then that of the rows' differences, divided by n, and nothing has to be drawn. Predictions and
    targets are label strings or numbers; for free text the prediction is a text, the target a list of right answers.
    None for fewer than two rows and for metrics that need more than a row of predictions says.
    """
    import numpy as np

    if len(targets) < 2 or (metric == "f1" and len(labels) != 2):
        return None
    if metric in OF_ROWS:
        return _of_rows(OF_ROWS[metric], targets, pairs)
    if metric not in {**OF_CELLS, **OF_NUMBERS}:
        return None
    random = np.random.default_rng(0)
    columns = [targets, *(side for pair in pairs for side in pair)]
    drawn = _of_classes(metric, columns, labels, random) if metric in OF_CELLS else _of_numbers(metric, columns, random)
    differences = [(sum(values[::2]) - sum(values[1::2])) / len(pairs) for values in drawn]
    return float(np.concatenate(differences).var(ddof=1))


def _of_rows(
    measure: Callable[[Any, Any], float], targets: Sequence[Any], pairs: Sequence[tuple[Sequence[Any], Sequence[Any]]]
) -> float:
    import numpy as np

    right = np.array([[list(map(measure, side, targets)) for side in pair] for pair in pairs], float)
    differences = (right[:, 0] - right[:, 1]).mean(0)
    return float(differences.var() / len(targets))


def _of_classes(metric: str, columns: Sequence[Sequence[Any]], labels: Sequence[str], random: Any) -> Iterator[Any]:
    """For parts of the draws, the metric of each column of predictions; of equal rows the number of each is drawn."""
    import numpy as np

    others = sorted({value for column in columns for value in column if value is not None} - {*labels})
    known = {label: i for i, label in enumerate([*labels, *others])}
    numbers = np.array([[known.get(value, -1) for value in column] for column in columns]).T
    cells, counts = np.unique(numbers, axis=0, return_counts=True)
    for size in parts(len(cells)):
        drawn = random.multinomial(len(numbers), counts / len(numbers), size)
        yield [OF_CELLS[metric](drawn, cells[:, 0], column) for column in cells.T[1:]]


def _of_numbers(metric: str, columns: Sequence[Sequence[Any]], random: Any) -> Iterator[Any]:
    """For parts of the draws, the metric of each column of predictions."""
    import numpy as np

    numbers = np.array(columns, float)
    for size in parts(numbers.shape[1]):
        rows = random.integers(numbers.shape[1], size=(size, numbers.shape[1]))
        yield [OF_NUMBERS[metric](column[rows], numbers[0][rows]) for column in numbers[1:]]


def parts(width: int) -> Iterator[int]:
    """RESAMPLES split so that an array of this width and so many rows stays small."""
    size = max(1, AT_ONCE // width)
    for start in range(0, RESAMPLES, size):
        yield min(size, RESAMPLES - start)


# Metrics of classes depend only on how often each pair (label, prediction) occurs: `counts` is (draws, pairs).


def _accuracy(counts: Values, labels: Values, predictions: Values) -> Values:
    return counts @ (labels == predictions) / counts.sum(1)


def _f1(counts: Values, labels: Values, predictions: Values) -> Values:
    answers = _or_wrong(labels, predictions)
    return _class_f1(counts, labels, answers, _array([1]))[:, 0]


def _macro_f1(counts: Values, labels: Values, predictions: Values) -> Values:
    import numpy as np

    classes = np.unique(np.concatenate([labels, predictions]))
    classes = classes[classes >= 0]
    occurs = (counts @ _is(labels, classes) + counts @ _is(predictions, classes)) > 0
    return (_class_f1(counts, labels, predictions, classes) * occurs).sum(1) / occurs.sum(1)


def _matthews(counts: Values, labels: Values, predictions: Values) -> Values:
    import numpy as np

    classes = np.unique(np.concatenate([labels, predictions]))
    n, right = counts.sum(1), counts @ (labels == predictions)
    true, said = counts @ _is(labels, classes), counts @ _is(predictions, classes)
    return _ratio(
        right * n - (true * said).sum(1),
        np.sqrt((n**2 - (true**2).sum(1)).astype(float) * (n**2 - (said**2).sum(1))),
    )


def _class_f1(counts: Values, labels: Values, predictions: Values, classes: Values) -> Values:
    """F1 of each class, (draws, classes); 0 where it is undefined."""
    true, said = counts @ _is(labels, classes), counts @ _is(predictions, classes)
    right = counts @ (_is(labels, classes) & _is(predictions, classes))
    return _ratio(2.0 * right, true + said)


def _or_wrong(labels: Values, predictions: Values) -> Values:
    """Predictions of two classes, in which a prediction of no class is the wrong one of the two."""
    import numpy as np

    return np.where(predictions >= 0, predictions, 1 - labels)


def _is(values: Values, classes: Values) -> Values:
    """Which of the classes each value is, (values, classes)."""
    return values[:, None] == classes


def _array(values: Sequence[int]) -> Values:
    import numpy as np

    return np.array(values)


def _ratio(numerator: Values, denominator: Values) -> Values:
    """A quotient, 0 where the denominator is 0."""
    import numpy as np

    return np.divide(numerator, denominator, out=np.zeros(denominator.shape), where=denominator != 0)


# Correlations: `x` and `y` are (draws, rows).


def _pearson(x: Values, y: Values) -> Values:
    import numpy as np

    x, y = _centred(x), _centred(y)
    found = _ratio((x * y).sum(1), np.sqrt((x**2).sum(1) * (y**2).sum(1)))
    return np.nan_to_num(found, nan=0.0)  # of predictions that are not finite, as in the metric itself


def _centred(values: Values) -> Values:
    values = values - values[:, :1]  # so that constants are exactly 0
    return values - values.mean(1, keepdims=True)


def _spearman(x: Values, y: Values) -> Values:
    from scipy.stats import rankdata

    return _pearson(rankdata(x, axis=1), rankdata(y, axis=1))


OF_CELLS: dict[str, Callable[[Values, Values, Values], Values]] = {
    "accuracy": _accuracy, "f1": _f1, "macro_f1": _macro_f1, "matthews": _matthews,
}  # fmt: skip
# Metrics that are the mean of a measure of each row: of its prediction and its target.
OF_ROWS: dict[str, Callable[[Any, Any], float]] = {"accuracy": eq} | {
    name: partial(score, name) for name in MEASURES
}  # fmt: skip
OF_NUMBERS: dict[str, Callable[[Values, Values], Values]] = {"pearson": _pearson, "spearman": _spearman}
