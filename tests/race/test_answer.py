"""The answer of a race as a pure function of its results."""

import pytest

from core.run.events import Eval, Phase, Started, Step
from s3tui.race.answer import answer_of
from s3tui.race.decide import Arm
from s3tui.race.record import Record, Rules, fresh_seeds
from s3tui.race.track import track_of
from s3tui.runs.records.result import Result


def result(score, validation, parameters=100):
    return Result(
        "t", "m", "given", "accuracy", score, 1000, parameters, 10**6, 1.0, "fp32", validation={"accuracy": validation}
    )


ARMS = [Arm("b/x", "waits", 30, {10: 0.5, 30: 0.7}), Arm("b/y", "waits", 30, {10: 0.6, 30: 0.8})]


def test_the_winner_is_chosen_on_validation_and_told_on_the_test():
    results = {
        "b/x": {7: result(0.80, 0.70), 8: result(0.82, 0.72)},
        "b/y": {7: result(0.90, 0.60), 8: result(0.90, 0.62)},
    }
    found = answer_of(ARMS, results, (10, 30))
    assert [one.arm for one in found.ranking] == ["b/x", "b/y"]
    winner = found.ranking[0]
    assert (winner.test, winner.validation, winner.seeds, winner.best) == (
        pytest.approx(0.81),
        pytest.approx(0.71),
        2,
        8,
    )
    assert (found.margin.difference, found.margin.pairs, found.margin.over) == (pytest.approx(-0.09), 2, "seeds")
    assert found.tau == 1.0


def test_the_cheapest_is_the_smallest_of_those_within_noise():
    results = {
        "b/x": {7: result(0.80, 0.70, 900), 8: result(0.84, 0.72, 900)},
        "b/y": {7: result(0.81, 0.60, 300), 8: result(0.80, 0.62, 300)},
    }
    found = answer_of(ARMS, results, (10, 30))
    assert found.margin.within_noise
    assert (found.ranking[0].arm, found.cheapest) == ("b/x", "b/y")
    results["b/y"] = {7: result(0.10, 0.60, 300), 8: result(0.14, 0.62, 300)}
    assert answer_of(ARMS, results, (10, 30)).cheapest == "b/x"


def test_without_results_there_is_no_answer_and_with_one_arm_no_runner_up():
    assert answer_of(ARMS, {}, (10, 30)) is None
    found = answer_of(ARMS, {"b/y": {7: result(0.9, 0.6)}}, (10, 30))
    assert (found.margin, found.cheapest) == (None, "b/y")


def test_the_score_at_a_rung_is_the_best_up_to_there_and_void_events_do_not_count():
    def evals(*scores):
        for step, score in scores:
            yield Step("retrain", step, 1.0, 1.0, 1e-3, t=float(step))
            yield Eval("retrain", step, "validation", {"accuracy": score}, True, t=float(step))

    start = Started("0", 1, 1, "cpu", "fp32", {}, t=0.0)
    again = Started("0", 2, 1, "cpu", "fp32", {}, "retrain", 10, t=100.0)
    events = [start, Phase("retrain", 30, t=1.0), *evals((10, 0.6), (20, 0.9)), again, *evals((20, 0.5))]
    found = track_of(events)
    assert found.scores((10, 20, 30)) == {10: 0.6, 20: 0.6}
    assert found.steps == 20
    # Steps of a search and of training count, also once the run has come to its test.
    whole = [start, Phase("search", 9), Step("search", 9, 1.0, 1.0, 1e-3), *events[1:-2], Phase("test", 0)]
    assert track_of(whole).steps == 9 + 10
    assert track_of(events[:-1]).scores((10, 20)) == {10: 0.6}
    assert track_of([start, *evals((10, None))]).scores((10,)) == {10: float("-inf")}


def test_a_confirmation_is_named_by_its_arm_and_has_a_seed_that_no_arm_has():
    assert fresh_seeds([0, 1, 3], 3) == (2, 4, 5)
    record = Record(Rules((10,)), ("b/method=s3,seed=0", "b/seed=1"), (2, 4))
    assert list(record.confirmations()) == [
        "b/method=s3,confirm=0,seed=2",
        "b/method=s3,confirm=0,seed=4",
        "b/confirm=1,seed=2",
        "b/confirm=1,seed=4",
    ]
