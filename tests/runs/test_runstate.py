from functools import reduce

from core.run.events import Eval, Failed, Finished, Phase, Space, Started, Step, StructureChosen, from_line, to_line
from s3tui.runs.run_state import RunState, fold


def started(t, attempt=1):
    return Started("abc", attempt, 1, "cpu", "fp32", {}, t=t)


def step(t, number, phase="search", **fields):
    return Step(phase, number, 2.0, 1.0, 1e-3, **fields, t=t)


def after(*events):
    return reduce(fold, events, RunState())


def test_a_search_step_tells_losses_and_parameters():
    state = after(
        started(10.0),
        Space([], 500, 1000, 20, 100, t=11.0),
        Phase("search", 50, t=12.0),
        step(13.0, 1, validation_loss=1.5, expected=99.5, selected=98),
    )
    assert (state.phase, state.step, state.total) == ("search", 1, 50)
    assert (state.train_loss, state.validation_loss) == (2.0, 1.5)
    assert (state.expected, state.selected, state.budget, state.backbone_parameters) == (99.5, 98, 100, 1000)
    assert (state.started, state.elapsed, state.device) == (10.0, 3.0, "cpu")


def test_time_left_follows_the_pace_of_the_phase():
    state = after(started(0.0), Phase("search", 10, t=100.0), step(200.0, 1))
    assert state.eta is None
    assert fold(state, step(206.0, 4)).eta == 2.0 * 6


def test_a_resumed_phase_has_the_pace_of_its_own_attempt():
    state = after(Phase("search", 10, t=0.0), step(1.0, 1), step(2.0, 2), started(1000.0, attempt=2))
    state = reduce(fold, [Phase("search", 10, t=1001.0), step(1010.0, 3), step(1013.0, 4)], state)
    assert (state.attempt, state.eta) == (2, 3.0 * 6)


def evaluated(step, score, best=True, phase="search"):
    return Eval(phase, step, "validation", {"f1": score}, best)


def test_what_an_earlier_attempt_told_of_later_steps_is_void():
    first = (Phase("search", 100), evaluated(25, 0.5), evaluated(50, 0.9), step(9.0, 60, expected=7.0))
    resumed = Started("abc", 2, 1, "cpu", "fp32", {}, "search", 30, t=20.0)
    state = after(*first, resumed)
    assert (state.attempt, state.phase, state.step, state.total) == (2, "search", 30, 100)
    assert (state.score, state.best, state.expected, state.train_loss) == (0.5, 0.5, None, None)
    state = after(*first, resumed, Phase("search", 100), evaluated(50, 0.4, best=False))
    assert (state.step, state.score, state.best) == (30, 0.4, 0.5)


def test_a_run_resumed_in_its_second_phase_keeps_what_the_first_came_to():
    first = (Phase("search", 10), evaluated(10, 0.5), StructureChosen([1], 42), Phase("retrain", 50))
    resumed = Started("abc", 2, 1, "cpu", "fp32", {}, "retrain", 0)
    state = after(*first, evaluated(10, 0.8, phase="retrain"), resumed)
    assert (state.parameters, state.phase, state.score) == (42, "retrain", 0.5)
    again = after(*first, Started("abc", 2, 1, "cpu", "fp32", {}, "search", 5))
    assert (again.parameters, again.score) == (None, None)


def test_a_run_begun_anew_has_nothing_of_its_past():
    state = after(Phase("search", 10), evaluated(5, 0.5), StructureChosen([1], 42), started(9.0, attempt=2))
    assert (state.phase, state.step, state.best, state.parameters) == ("", 0, None, None)


def test_a_clock_that_goes_back_gives_no_negative_time():
    state = after(started(100.0), Phase("search", 10, t=100.0), step(100.0, 1), step(50.0, 2))
    assert (state.elapsed, state.eta) == (0.0, None)


def test_the_score_is_the_first_metric_and_the_best_is_of_its_phase():
    def evaluated(score, best):
        return Eval("search", 1, "validation", {"f1": score, "accuracy": 0.9}, best)

    state = after(evaluated(0.5, True), evaluated(0.4, False))
    assert (state.metric, state.score, state.best) == ("f1", 0.4, 0.5)
    state = fold(fold(state, Phase("retrain", 10)), evaluated(0.3, True))
    assert (state.score, state.best) == (0.3, 0.3)


def test_the_end_of_a_run_is_told_and_a_new_attempt_takes_it_back():
    failed = Failed("data", "no file", "look", t=5.0)
    state = after(started(1.0), failed)
    assert (state.failure, state.finished) == (failed, False)
    state = fold(state, started(9.0, attempt=2))
    assert state.failure is None
    state = reduce(fold, [StructureChosen([1], 42), Finished(0.7, {"f1": 0.7}, 3.0, t=12.0)], state)
    assert (state.finished, state.score, state.parameters, state.elapsed) == (True, 0.7, 42, 3.0)


def test_a_loss_that_is_not_a_number_is_unknown():
    event = from_line(to_line(step(1.0, 1, validation_loss=float("nan")), 0, 1.0))
    assert after(event).validation_loss is None
