"""Gains over the best baseline: paired where seeds are shared, with an interval that covers the truth."""

import math
import random
import statistics

import pyarrow
import pyarrow.parquet
import pytest
from scipy.stats import t as t_distribution
from scipy.stats import ttest_ind, ttest_rel
from stand_in import result

from core.run.rundir import RunDir, write_json
from s3tui.results.gains import gain, gains, quantile
from s3tui.results.standings import standings
from s3tui.results.summary import grouped
from s3tui.runs.workspace import find_runs


def test_shared_seeds_are_compared_pair_by_pair():
    """Seeds differ by ten points, methods by one: only pairs show it."""
    ours, theirs = {0: 0.51, 1: 0.61, 2: 0.71}, {0: 0.50, 1: 0.60, 2: 0.70, 3: 0.95}
    found = gain("random", ours, theirs)
    assert found.difference == pytest.approx(0.01)
    assert found.interval == (pytest.approx(0.01), pytest.approx(0.01))
    assert found.pairs == 3


def test_without_shared_seeds_the_interval_is_that_of_welch():
    found = gain("random", {0: 0.6, 1: 0.8, 2: 0.7}, {5: 0.5, 6: 0.55, 7: 0.45, 8: 0.5})
    expected = ttest_ind([0.6, 0.8, 0.7], [0.5, 0.55, 0.45, 0.5], equal_var=False)
    assert (found.difference, found.pairs, found.over) == (pytest.approx(0.2), 0, "seeds")
    # The quantile is that of the next smaller whole number of degrees of freedom.
    half = t_distribution.ppf(0.975, int(expected.df)) * 0.2 / expected.statistic
    assert found.interval == (pytest.approx(0.2 - half, rel=1e-3), pytest.approx(0.2 + half, rel=1e-3))


def test_paired_seeds_have_the_interval_of_student():
    ours, theirs = {0: 0.61, 1: 0.63, 2: 0.70}, {0: 0.60, 1: 0.60, 2: 0.68}
    low, high = ttest_rel(list(ours.values()), list(theirs.values())).confidence_interval(0.95)
    found = gain("random", ours, theirs)
    assert found.interval == (pytest.approx(low, abs=1e-5), pytest.approx(high, abs=1e-5))
    assert found.within_noise  # three seeds are too few for two points


@pytest.mark.parametrize("freedom", [1, 2, 5, 30, 31, 60, 1000, math.inf])
def test_the_quantiles_are_those_of_the_distribution(freedom):
    assert quantile(freedom) == pytest.approx(t_distribution.ppf(0.975, freedom), rel=1.5e-3)


def test_a_single_run_has_a_difference_and_no_interval():
    found = gain("random", {0: 0.6}, {0: 0.5, 1: 0.7})
    assert (found.difference, found.interval, found.pairs, found.over) == (pytest.approx(0.0), None, 0, "")
    assert not found.within_noise


def test_a_single_run_has_an_interval_over_rows_if_both_standard_errors_are_known():
    found = gain("random", {0: 0.6}, {0: 0.5}, (0.03, 0.04))
    assert found.interval == (pytest.approx(0.1 - 1.96 * 0.05), pytest.approx(0.1 + 1.96 * 0.05))
    assert (found.over, found.within_noise) == ("rows", False)
    assert gain("random", {0: 0.6}, {0: 0.5}, (0.03, None)).interval is None


def test_the_interval_covers_the_true_difference_about_as_often_as_it_says():
    """Of 200 experiments with 3 seeds each and a true gain of 0.02, a 95 % interval covers some 95 %."""
    place, covered = random.Random(1), []
    for _ in range(200):
        theirs = {seed: place.gauss(0.5, 0.05) for seed in range(3)}
        ours = {seed: score + place.gauss(0.02, 0.01) for seed, score in theirs.items()}
        low, high = gain("random", ours, theirs).interval
        covered.append(low <= 0.02 <= high)
    assert 0.91 <= statistics.mean(covered) <= 0.99


@pytest.fixture
def finished(tmp_path):
    def add(name, score, method="s3", seed=0, **changes):
        spec = {"task": {"name": "t"}, "model": "m", "method": method, "seed": seed}
        directory = RunDir(tmp_path / name)
        directory.create(spec)
        write_json(directory.result, result(spec, score, **changes))

    return add


def with_gains(folder):
    rows = grouped(find_runs(folder))
    return [(row, one) for (row, _), one in zip(rows, gains(rows), strict=True)]


def test_every_search_has_a_gain_and_no_baseline_and_nothing_without_a_budget(finished, tmp_path):
    for method in ("s3", "bipeft", "saliency", "given", "random", "fixed", "full"):
        finished(method, 0.6, method)
    found = {row.method: one for row, one in with_gains(tmp_path)}
    assert {method for method, one in found.items() if one} == {"s3", "bipeft", "saliency", "given"}


def test_the_best_baseline_is_that_of_the_same_task_and_budget(finished, tmp_path):
    finished("s", 0.6)
    finished("r", 0.5, "random")
    finished("f", 0.55, "fixed")
    finished("larger", 0.9, "fixed", budget=10**6)
    finished("elsewhere", 0.9, "fixed", task="other")
    finished("all", 0.95, "full")
    found = {row.experiment: one for row, one in with_gains(tmp_path)}
    assert (found["s"].baseline, found["s"].difference) == ("f", pytest.approx(0.05))
    assert all(found[name] is None for name in ("r", "f", "larger", "elsewhere", "all"))


def test_answers_in_free_text_are_compared_row_by_row_too(finished, tmp_path):
    """Both write most answers right, in other words; on 30 of 400 rows only the searched one does."""
    targets = [["the red car", "a car"]] * 400
    for name, method, right in (("s", "s3", 330), ("r", "random", 300)):
        answers = ["Red car."] * right + ["bus"] * (400 - right)
        finished(name, right / 400, method, metric="exact_match", metrics={"exact_match": right / 400}, rows=400)
        keep(tmp_path, name, answers, targets)
    [found] = [one for _, one in with_gains(tmp_path) if one]
    half = 1.96 * math.sqrt(0.075 * 0.925 / 400)
    assert (found.over, found.difference) == ("rows", pytest.approx(0.075))
    assert found.interval == (pytest.approx(0.075 - half, abs=1e-4), pytest.approx(0.075 + half, abs=1e-4))
    keep(tmp_path, "s", [None] * 400, targets)  # no text, as in a damaged file
    [damaged] = [one for _, one in with_gains(tmp_path) if one]
    assert damaged.interval is None


def places(folder):
    return {one.row.experiment: one.place for one in standings(grouped(find_runs(folder)))}


def test_a_best_row_beyond_noise_is_the_best_and_the_others_have_no_place(finished, tmp_path):
    for seed in (0, 1, 2):
        finished(f"s/seed={seed}", 0.70 + 0.001 * seed, seed=seed)
        finished(f"r/seed={seed}", 0.50, "random", seed)
    assert places(tmp_path) == {"s": "best", "r": ""}


def test_rows_whose_difference_to_the_best_may_be_chance_are_within_noise(finished, tmp_path):
    for seed, noise in enumerate((0.02, -0.03, 0.01)):
        finished(f"s/seed={seed}", 0.70 + noise, seed=seed)
        finished(f"r/seed={seed}", 0.695, "random", seed)
        finished(f"f/seed={seed}", 0.40, "fixed", seed)
    assert places(tmp_path) == {"s": "within noise", "r": "within noise", "f": ""}


def test_single_runs_go_by_their_test_rows_and_are_unsure_without_them(finished, tmp_path):
    finished("near/s", 0.60, standard_error=0.02, rows=600, task="near")
    finished("near/r", 0.58, "random", standard_error=0.02, rows=600, task="near")
    finished("far/s", 0.80, standard_error=0.02, rows=600, task="far")
    finished("far/r", 0.58, "random", standard_error=0.02, rows=600, task="far")
    finished("old/s", 0.80, task="old")
    finished("old/r", 0.58, "random", task="old")
    finished("alone", 0.5, task="alone")
    assert places(tmp_path) == {
        "near/s": "within noise", "near/r": "within noise", "far/s": "best", "far/r": "",
        "old/s": "best, not known how sure", "old/r": "", "alone": "best",
    }  # fmt: skip


def keep(folder, name, answers, targets):
    """Write predictions as a worker does."""
    table = pyarrow.table({"row": range(len(targets)), "target": targets, "prediction": answers})
    pyarrow.parquet.write_table(table, RunDir(folder / name).predictions)


def test_runs_that_kept_predictions_are_compared_row_by_row(finished, tmp_path):
    """Both err on the same 200 rows of 400 and differ on 8: independent standard errors would see nothing."""
    targets = ["a", "b"] * 200
    wrong = [{"a": "b", "b": "a"}[t] for t in targets]
    worse = wrong[:200] + targets[200:]
    better = targets[:8] + worse[8:]
    for name, method, answers in (("s", "s3", better), ("r", "random", worse)):
        score = sum(map(str.__eq__, answers, targets)) / 400
        finished(name, score, method, standard_error=0.025, rows=400)
        keep(tmp_path, name, answers, targets)
    [found] = [one for _, one in with_gains(tmp_path) if one]
    assert (found.over, found.difference) == ("rows", pytest.approx(0.02))
    half = 1.96 * math.sqrt(0.02 * 0.98 / 400)  # of the share of rows on which they differ
    assert found.interval == (pytest.approx(0.02 - half, abs=0.002), pytest.approx(0.02 + half, abs=0.002))
    assert places(tmp_path) == {"s": "best", "r": ""}


@pytest.mark.parametrize("kept", ["both", "other rows", "one", "no parquet"])
def test_seeds_and_rows_are_combined_if_the_same_rows_were_predicted(finished, tmp_path, kept):
    targets, scores = ["a", "b"] * 50, {}
    for seed in range(3):
        for name, method, right in (("s", "s3", 70 + 2 * seed), ("r", "random", 60 + seed)):
            finished(f"{name}/seed={seed}", right / 100, method, seed)
            scores[name, seed] = right / 100
            if kept != "one" or name == "s":
                answers = targets[:right] + [None] * (100 - right)
                rows = targets[::-1] if kept == "other rows" and name == "r" else targets
                keep(tmp_path, f"{name}/seed={seed}", answers, rows)
    if kept == "no parquet":
        RunDir(tmp_path / "r/seed=1").predictions.write_bytes(b"PAR1 and no more")
    [found] = [one for _, one in with_gains(tmp_path) if one]
    alone = gain("r", *({seed: scores[name, seed] for seed in range(3)} for name in "sr"))
    if kept != "both":
        assert found == alone
        return
    assert (found.over, found.pairs) == ("seeds and rows", 3)
    assert found.difference == alone.difference
    between = statistics.variance([0.10, 0.11, 0.12]) / 3
    rows = 0.11 * 0.89 / 100  # the three differ on nearly the same rows
    freedom = (between + rows) ** 2 * 2 / between**2
    half = quantile(freedom) * math.sqrt(between + rows)
    assert found.interval[1] - found.difference == pytest.approx(half, rel=0.1)


def test_the_interval_of_two_predictors_on_the_same_rows_covers_the_truth(finished, tmp_path):
    """Of 60 test sets on which one model is right 4 points more often, the interval covers that mostly."""
    place, covered = random.Random(2), []
    for number in range(60):
        task, targets = f"t{number}", ["a"] * 300
        drawn = [place.random() for _ in targets]
        for name, method, share in (("s", "s3", 0.74), ("r", "random", 0.70)):
            answers = ["a" if d < share else "b" for d in drawn]
            finished(f"{task}/{name}", answers.count("a") / 300, method, task=task)
            keep(tmp_path, f"{task}/{name}", answers, targets)
    for _, found in with_gains(tmp_path):
        if found:
            covered.append(found.interval[0] <= 0.04 <= found.interval[1])
    assert len(covered) == 60
    assert statistics.mean(covered) >= 0.85
