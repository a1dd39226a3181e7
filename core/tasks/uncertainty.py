"""Standard errors of metrics: how far a score would move on other test rows of the same kind.

The bootstrap (Efron, 1979): rows are drawn with replacement, as many as there are, and the metric is computed on each
draw; the standard deviation of these values is the standard error. All draws are computed together, as arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from core.tasks.metrics import METRICS
from core.tasks.task import Answer, Example

if TYPE_CHECKING:
    import numpy as np

Values = Any  # numpy arrays; numpy types what is done with them here as Any

RESAMPLES = 1000
AT_ONCE = 2**22  # numbers in one array: 32 MiB


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
        for size in _parts(len(cells)):
            yield OF_CELLS[metric](random.multinomial(len(pairs), counts / len(pairs), size), *cells.T)
        return
    if metric in OF_NUMBERS:
        x, y = np.array(predictions, float), np.array([example.label for example in examples], float)
        for size in _parts(len(x)):
            rows = random.integers(len(x), size=(size, len(x)))
            yield OF_NUMBERS[metric](x[rows], y[rows])
        return
    single = np.array(_scores(metric, predictions, examples))
    for size in _parts(len(single)):
        yield single[random.integers(len(single), size=(size, len(single)))].mean(1)


def _parts(width: int) -> Iterator[int]:
    """RESAMPLES split so that an array of this width and so many rows stays small."""
    size = max(1, AT_ONCE // width)
    for start in range(0, RESAMPLES, size):
        yield min(size, RESAMPLES - start)


def _scores(metric: str, predictions: Sequence[Any], examples: Sequence[Example]) -> list[float]:
    """The metric of each row alone, or of each question; the metric of the whole is their mean."""
    if metric != "question_exact_match":
        return [METRICS[metric]([p], [example]) for p, example in zip(predictions, examples, strict=True)]
    right: dict[int | None, bool] = {}
    for prediction, example in zip(predictions, examples, strict=True):
        right[example.group] = right.get(example.group, True) and prediction == example.label
    return [float(value) for value in right.values()]


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
OF_NUMBERS: dict[str, Callable[[Values, Values], Values]] = {"pearson": _pearson, "spearman": _spearman}
