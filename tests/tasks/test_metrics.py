"""Scores are those of scikit-learn and SciPy, and defined where theirs are not."""

from __future__ import annotations

import math
import warnings

import pytest

from core.tasks.metrics import evaluate


def test_the_first_metric_is_the_score():
    assert next(iter(evaluate("classification", [0, 1], [0, 1]))) == "accuracy"
    assert next(iter(evaluate("regression", [0.0, 1.0], [0.0, 1.0]))) == "pearson"


def test_classes_by_hand():
    # F1 of class 0: 2/3, of 1: 4/5, of 2: 0.
    metrics = evaluate("classification", [0, 1, 1, 1], [0, 1, 1, 0])
    assert metrics == {"accuracy": 0.75, "macro_f1": pytest.approx((2 / 3 + 4 / 5) / 2)}


def test_an_answer_that_is_no_class_is_wrong_and_not_a_class_of_its_own():
    metrics = evaluate("classification", [0, -1], [0, 1])
    assert metrics == {"accuracy": 0.5, "macro_f1": 0.5}


def test_correlations_by_hand():
    metrics = evaluate("regression", [1.0, 2.0, 9.0], [1.0, 2.0, 3.0])
    assert metrics == {"pearson": pytest.approx(8 / math.sqrt(38 * 2)), "spearman": pytest.approx(1.0)}


@pytest.mark.parametrize(
    ("predictions", "references"),
    [
        ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]),
        ([1.0, 2.0, 3.0], [2.0, 2.0, 2.0]),
        ([1.0, math.nan, 3.0], [1.0, 2.0, 3.0]),
        ([1.0, math.inf, 3.0], [1.0, 2.0, 3.0]),
        ([1.0], [1.0]),
    ],
)
def test_an_undefined_correlation_is_zero_and_says_nothing(predictions, references):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metrics = evaluate("regression", predictions, references)
    assert metrics == {"pearson": 0.0, "spearman": 0.0}


def test_nearly_constant_predictions_have_a_score_and_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metrics = evaluate("regression", [1.0, 1.0, 1.0 + 2**-52], [1.0, 2.0, 3.0])
    assert metrics["spearman"] == pytest.approx(math.sqrt(3) / 2)
