"""Metrics of predictions, by name; all are between -1 and 1."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from core.run.answers import score
from core.run.tasks import Kind
from core.tasks.task import Answer, Example

# The default metrics of each kind of task, for the user's files and other tasks without metrics of their own.
BY_KIND: dict[Kind, tuple[str, ...]] = {
    "classification": ("accuracy", "macro_f1"),
    "regression": ("pearson", "spearman"),
}


def evaluate(names: Sequence[str], predictions: Sequence[Answer], examples: Sequence[Example]) -> dict[str, float]:
    """The named metrics of predictions, in that order; the first is the score.

    Classes are indices; a negative prediction stands for no class and is always wrong.
    """
    return {name: METRICS[name](predictions, examples) for name in names}


def _accuracy(predictions: Sequence[Any], examples: Sequence[Example]) -> float:
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(_labels(examples), predictions))


def _f1(predictions: Sequence[Any], examples: Sequence[Example]) -> float:
    """F1 of class 1 of two."""
    from sklearn.metrics import f1_score

    labels = _labels(examples)
    # As in the paper's code, a prediction of no class counts as the wrong one of the two.
    answers = [p if p >= 0 else 1 - label for p, label in zip(predictions, labels, strict=True)]
    return float(f1_score(labels, answers, zero_division=0.0))


def _macro_f1(predictions: Sequence[Any], examples: Sequence[Example]) -> float:
    """The mean F1 of the classes that occur in the labels or the predictions."""
    from sklearn.metrics import f1_score

    labels = _labels(examples)
    classes = sorted({c for c in (*predictions, *labels) if c >= 0})
    return float(f1_score(labels, predictions, labels=classes, average="macro", zero_division=0.0))


def _matthews(predictions: Sequence[Any], examples: Sequence[Example]) -> float:
    from sklearn.metrics import matthews_corrcoef

    return float(matthews_corrcoef(_labels(examples), predictions))


def _pearson(predictions: Sequence[Any], examples: Sequence[Example]) -> float:
    from scipy.stats import pearsonr

    return _correlation(pearsonr, predictions, examples)


def _spearman(predictions: Sequence[Any], examples: Sequence[Example]) -> float:
    from scipy.stats import spearmanr

    return _correlation(spearmanr, predictions, examples)


def _correlation(measure: Any, predictions: Sequence[float], examples: Sequence[Example]) -> float:
    """A correlation; 0 where it is undefined, as that of constant or NaN predictions."""
    from scipy.stats import NearConstantInputWarning

    references = [example.label for example in examples]
    finite = all(map(math.isfinite, predictions))
    if not finite or len(set(predictions)) < 2 or len(set(references)) < 2:
        return 0.0
    with warnings.catch_warnings():
        # Predictions that are constant up to rounding get a score, as low as the model deserves.
        warnings.simplefilter("ignore", NearConstantInputWarning)
        return float(measure(predictions, references).statistic)


def _question_exact_match(predictions: Sequence[Any], examples: Sequence[Example]) -> float:
    """The share of questions (groups of rows) with every row right."""
    right: dict[int | None, bool] = {}
    for prediction, example in zip(predictions, examples, strict=True):
        right[example.group] = right.get(example.group, True) and prediction == example.label
    return sum(right.values()) / len(right)


def _exact_match(predictions: Sequence[Any], examples: Sequence[Example]) -> float:
    """The share of texts equal to one of the correct answers after normalisation."""
    return _of_texts("exact_match", predictions, examples)


def _token_f1(predictions: Sequence[Any], examples: Sequence[Example]) -> float:
    """The mean word F1 of each text with the closest of its correct answers after normalisation."""
    return _of_texts("token_f1", predictions, examples)


def _of_texts(measure: str, predictions: Sequence[str], examples: Sequence[Example]) -> float:
    scores = [score(measure, text, example.answers) for text, example in zip(predictions, examples, strict=True)]
    return sum(scores) / len(scores)


def _labels(examples: Sequence[Example]) -> list[int]:
    return [int(example.label) for example in examples]


METRICS: dict[str, Callable[[Sequence[Any], Sequence[Example]], float]] = {
    "accuracy": _accuracy,
    "f1": _f1,
    "macro_f1": _macro_f1,
    "matthews": _matthews,
    "pearson": _pearson,
    "spearman": _spearman,
    "question_exact_match": _question_exact_match,
    "exact_match": _exact_match,
    "token_f1": _token_f1,
}
