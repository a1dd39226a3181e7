"""Scores are those of scikit-learn and SciPy, and defined where theirs are not."""

from __future__ import annotations

import math
import random
import warnings

import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from core.run.answers import normalised
from core.tasks.metrics import BY_KIND, METRICS, evaluate
from core.tasks.task import Example

NUMBERS = BY_KIND["regression"]


def score(name: str, predictions: list, references: list) -> float:
    return evaluate([name], predictions, [Example((), label) for label in references])[name]


def test_the_first_metric_is_the_score():
    examples = [Example((), 0), Example((), 1)]
    assert next(iter(evaluate(BY_KIND["classification"], [0, 1], examples))) == "accuracy"
    assert list(evaluate(["f1", "accuracy"], [0, 1], examples)) == ["f1", "accuracy"]


def test_classes_by_hand():
    # F1 of class 0: 2/3, of 1: 4/5, of 2: 0.
    predictions, references = [0, 1, 1, 1], [0, 1, 1, 0]
    assert score("accuracy", predictions, references) == 0.75
    assert score("macro_f1", predictions, references) == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert score("f1", predictions, references) == pytest.approx(4 / 5)
    # 1 true negative, 2 true positives, 1 false positive: (2*1 - 1*0) / sqrt(3 * 2 * 2 * 1)
    assert score("matthews", predictions, references) == pytest.approx(2 / math.sqrt(12))


def test_classes_as_scikit_learn_has_them():
    place = random.Random(0)
    for classes in (2, 3):
        predictions, references = ([place.randrange(classes) for _ in range(50)] for _ in range(2))
        assert score("accuracy", predictions, references) == accuracy_score(references, predictions)
        assert score("matthews", predictions, references) == matthews_corrcoef(references, predictions)
        assert score("macro_f1", predictions, references) == f1_score(references, predictions, average="macro")
        if classes == 2:
            assert score("f1", predictions, references) == f1_score(references, predictions)


def test_an_answer_that_is_no_class_is_wrong_and_not_a_class_of_its_own():
    assert score("accuracy", [0, -1], [0, 1]) == 0.5
    assert score("macro_f1", [0, -1], [0, 1]) == 0.5


def test_an_answer_that_is_no_class_counts_as_the_other_of_two():
    assert score("f1", [1, -1, -1], [1, 1, 0]) == score("f1", [1, 0, 1], [1, 1, 0]) == 0.5


def test_constant_answers_have_no_correlation_with_classes():
    assert score("matthews", [1, 1, 1], [0, 1, 1]) == 0.0
    assert score("f1", [0, 0], [1, 0]) == 0.0


def test_correlations_by_hand():
    assert score("pearson", [1.0, 2.0, 9.0], [1.0, 2.0, 3.0]) == pytest.approx(8 / math.sqrt(38 * 2))
    assert score("spearman", [1.0, 2.0, 9.0], [1.0, 2.0, 3.0]) == pytest.approx(1.0)


def test_correlations_as_scipy_has_them():
    place = random.Random(0)
    predictions, references = ([place.random() for _ in range(40)] for _ in range(2))
    assert score("pearson", predictions, references) == pearsonr(predictions, references).statistic
    assert score("spearman", predictions, references) == spearmanr(predictions, references).statistic


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
        assert [score(name, predictions, references) for name in NUMBERS] == [0.0, 0.0]


def test_nearly_constant_predictions_have_a_score_and_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value = score("spearman", [1.0, 1.0, 1.0 + 2**-52], [1.0, 2.0, 3.0])
        score("pearson", [1.0, 1.0, 1.0 + 2**-52], [1.0, 2.0, 3.0])
    assert value == pytest.approx(math.sqrt(3) / 2)


def test_a_question_is_right_where_all_of_its_answers_are():
    rows = [Example((), label, group=group) for label, group in ((1, 7), (0, 7), (1, 9), (0, 9), (1, 8))]
    metrics = evaluate(["f1", "question_exact_match"], [1, 0, 1, 1, 1], rows)
    assert metrics == {"f1": pytest.approx(6 / 7), "question_exact_match": pytest.approx(2 / 3)}


@pytest.mark.parametrize(
    ("text", "plain"),
    [("The  U.S. Army!", "us army"), ("an apple, a pear", "apple pear"), ("Theatre", "theatre"), ("a", ""), ("", "")],
)
def test_texts_are_compared_without_case_punctuation_and_articles(text, plain):
    assert normalised(text) == plain


def test_the_nearest_of_the_right_answers_counts():
    rows = [
        Example((), answers=("Benazir Bhutto", "Bhutto")),  # exact
        Example((), answers=("the unification ministry of South Korea",)),  # 2 words of 2 and of 5
        Example((), answers=("Paris",)),  # nothing
    ]
    metrics = evaluate(["exact_match", "token_f1"], ["bhutto.", "South Korea", ""], rows)
    assert metrics == {"exact_match": pytest.approx(1 / 3), "token_f1": pytest.approx((1 + 2 * 2 / (2 + 5) + 0) / 3)}


def test_a_word_that_is_written_twice_is_shared_once():
    assert evaluate(["token_f1"], ["no no"], [Example((), answers=("no",))])["token_f1"] == pytest.approx(2 / 3)


def test_perfect_answers_score_one_everywhere():
    rows = [Example((), label, answers=("x y",), group=label) for label in (0, 1)]
    for name in METRICS:
        right = ["x y", "x y"] if name in ("exact_match", "token_f1") else [0, 1]
        assert METRICS[name](right, rows) == pytest.approx(1.0), name
