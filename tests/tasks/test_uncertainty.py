"""Standard errors of every metric: those of a plain bootstrap that computes the metric itself on each draw."""

import math
import random
import statistics

import pytest

from core.run.resampling import variance_of_difference
from core.tasks.metrics import METRICS
from core.tasks.task import Example
from core.tasks.uncertainty import _resampled, standard_error

NUMBERS = ("pearson", "spearman")
TEXTS = ("exact_match", "token_f1")
CLASSES = {"accuracy": 4, "macro_f1": 4, "matthews": 4, "f1": 2, "question_exact_match": 2}


def rows(metric, count=80):
    """Predictions that are right more often than not, some of them of no class; questions of two rows."""
    place = random.Random(3)
    if metric in NUMBERS:
        truth = [place.gauss(0, 1) for _ in range(count)]
        return [y + place.gauss(0, 1) for y in truth], [Example((), y) for y in truth]
    if metric in TEXTS:
        return place.choices(["red car", "car", "blue"], k=count), [Example((), answers=("red car", "bus"))] * count
    classes = range(CLASSES[metric])
    truth = place.choices(classes, k=count)
    said = [y if place.random() < 0.6 else place.choice([-1, *classes]) for y in truth]
    return said, [Example((), y, group=i // 2) for i, y in enumerate(truth)]


def by_hand(metric, predictions, examples, draws=400):
    """The bootstrap without shortcuts; of questions, whole questions are drawn."""
    place = random.Random(0)
    size = 2 if metric == "question_exact_match" else 1
    units = [range(start, start + size) for start in range(0, len(examples), size)]
    found = []
    for _ in range(draws):
        drawn = place.choices(units, k=len(units))
        said, right = [], []
        for number, unit in enumerate(drawn):
            for i in unit:
                said.append(predictions[i])
                right.append(Example((), examples[i].label, examples[i].answers, number))
        found.append(METRICS[metric](said, right))
    return statistics.stdev(found)


@pytest.mark.parametrize("metric", METRICS)
def test_the_standard_error_is_that_of_a_bootstrap_by_hand(metric):
    predictions, examples = rows(metric)
    # 400 draws estimate a deviation to within some 4 %.
    assert standard_error(metric, predictions, examples) == pytest.approx(
        by_hand(metric, predictions, examples), rel=0.2
    )


@pytest.mark.parametrize("metric", METRICS)
def test_draws_centre_on_the_metric_and_are_the_same_for_the_same_seed(metric):
    import numpy as np

    predictions, examples = rows(metric, 400)
    drawn = np.concatenate(list(_resampled(metric, predictions, examples, np.random.default_rng(0))))
    assert len(drawn) == 1000
    assert drawn.mean() == pytest.approx(METRICS[metric](predictions, examples), abs=0.02)
    assert (
        standard_error(metric, predictions, examples)
        == standard_error(metric, predictions, examples)
        == drawn.std(ddof=1)
    )


def test_accuracy_has_the_standard_error_of_the_binomial_distribution():
    predictions, examples = rows("accuracy", 1000)
    share = METRICS["accuracy"](predictions, examples)
    expected = math.sqrt(share * (1 - share) / 1000)
    assert standard_error("accuracy", predictions, examples) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("metric", METRICS)
def test_constant_predictions_have_an_error_and_a_single_row_has_none(metric):
    predictions, examples = rows(metric)
    constant = standard_error(metric, [predictions[0]] * len(examples), examples)
    assert math.isfinite(constant)
    if metric in NUMBERS:
        assert constant == 0
        assert standard_error(metric, [math.nan] * len(examples), examples) == 0
    assert standard_error(metric, predictions[:1], examples[:1]) is None


def two_sides(metric):
    """Targets and the predictions of two models of which one is right a little more often, on the same rows."""
    said, examples = rows(metric)
    place = random.Random(5)
    right = [e.answers[0] if e.answers else e.label for e in examples]
    better = [y if place.random() < 0.2 else p for p, y in zip(said, right, strict=True)]
    return said, better, examples


@pytest.mark.parametrize("metric", METRICS)
def test_the_variance_of_a_difference_is_that_of_a_paired_bootstrap_by_hand(metric):
    said, better, examples = two_sides(metric)
    names = [f"class {i}" for i in range(CLASSES.get(metric, 0))]
    written = [
        [names[p] if p >= 0 else None for p in side] if names else side
        for side in ([list(e.answers) or e.label for e in examples], better, said)
    ]
    found = variance_of_difference(metric, written[0], [(written[1], written[2])], names)
    if metric == "question_exact_match":  # the file does not say which rows are of one question
        assert found is None
        return
    place, differences = random.Random(0), []
    for _ in range(400):
        drawn = place.choices(range(len(examples)), k=len(examples))
        a, b = (METRICS[metric]([side[i] for i in drawn], [examples[i] for i in drawn]) for side in (better, said))
        differences.append(a - b)
    assert math.sqrt(found) == pytest.approx(statistics.stdev(differences), rel=0.2)
    apart = standard_error(metric, said, examples) ** 2 + standard_error(metric, better, examples) ** 2
    assert found < apart  # rows that both get right or wrong cancel out


def test_a_difference_that_is_the_same_for_every_seed_is_of_their_mean():
    said, better, examples = two_sides("accuracy")
    targets, a, b = ([str(v) for v in side] for side in ([e.label for e in examples], better, said))
    one, two = (variance_of_difference("accuracy", targets, [(a, b)] * times, "0123") for times in (1, 2))
    assert one == pytest.approx(two)
    assert variance_of_difference("accuracy", targets, [(a, b), (b, a)], "0123") == pytest.approx(0)
    assert variance_of_difference("question_exact_match", targets, [(a, b)], ()) is None
