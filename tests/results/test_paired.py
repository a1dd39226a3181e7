"""Gains over the best baseline: paired where seeds are shared, with an interval that covers the truth."""

import random
import statistics

import pytest
from stand_in import result

from core.run.rundir import RunDir, write_json
from s3tui.results.gains import gain, with_gains
from s3tui.runs.workspace import find_runs


def test_shared_seeds_are_compared_pair_by_pair():
    """Seeds differ by ten points, methods by one: only pairs show it."""
    ours, theirs = {0: 0.51, 1: 0.61, 2: 0.71}, {0: 0.50, 1: 0.60, 2: 0.70, 3: 0.95}
    found = gain("random", ours, theirs)
    assert found.difference == pytest.approx(0.01)
    assert found.interval == (pytest.approx(0.01), pytest.approx(0.01))
    assert found.pairs == 3


def test_without_shared_seeds_both_are_resampled_by_themselves():
    found = gain("random", {0: 0.6, 1: 0.8}, {5: 0.5, 6: 0.5})
    assert found.difference == pytest.approx(0.2)
    low, high = found.interval
    assert (low, high, found.pairs) == (pytest.approx(0.1), pytest.approx(0.3), 0)


def test_a_single_run_has_a_difference_and_no_interval():
    found = gain("random", {0: 0.6}, {0: 0.5, 1: 0.7})
    assert (found.difference, found.interval, found.pairs) == (pytest.approx(0.0), None, 0)


def test_the_interval_covers_the_true_difference_about_as_often_as_it_says():
    """Of 200 experiments with 12 seeds each and a true gain of 0.02, a 95 % percentile interval covers some 90 %."""
    place, covered = random.Random(1), []
    for trial in range(200):
        theirs = {seed: place.gauss(0.5, 0.05) for seed in range(12)}
        ours = {seed: score + place.gauss(0.02, 0.01) for seed, score in theirs.items()}
        low, high = gain("random", ours, theirs, seed=trial).interval
        covered.append(low <= 0.02 <= high)
    assert 0.85 <= statistics.mean(covered) <= 0.99


@pytest.fixture
def finished(tmp_path):
    def add(name, score, method="s3", seed=0, **changes):
        spec = {"task": {"name": "t"}, "model": "m", "method": method, "seed": seed}
        directory = RunDir(tmp_path / name)
        directory.create(spec)
        write_json(directory.result, result(spec, score, **changes))

    return add


def test_every_search_has_a_gain_and_no_baseline_and_nothing_without_a_budget(finished, tmp_path):
    for method in ("s3", "bipeft", "saliency", "given", "random", "fixed", "full"):
        finished(method, 0.6, method)
    gains = {row.method: gain for row, gain in with_gains(find_runs(tmp_path))}
    assert {method for method, gain in gains.items() if gain} == {"s3", "bipeft", "saliency", "given"}


def test_the_best_baseline_is_that_of_the_same_task_and_budget(finished, tmp_path):
    finished("s", 0.6)
    finished("r", 0.5, "random")
    finished("f", 0.55, "fixed")
    finished("larger", 0.9, "fixed", budget=10**6)
    finished("elsewhere", 0.9, "fixed", task="other")
    finished("all", 0.95, "full")
    gains = {row.experiment: found for row, found in with_gains(find_runs(tmp_path))}
    assert (gains["s"].baseline, gains["s"].difference) == ("f", pytest.approx(0.05))
    assert all(gains[name] is None for name in ("r", "f", "larger", "elsewhere", "all"))
