"""What a run told, folded into bounded curves and frames: a plot of it must show what happened."""

import itertools
import math

import pytest

from core.run.events import Eval, Gates, Phase, Space, Started, Step, StructureChosen
from s3tui.runs.curves import CAPACITY, Curve, Series, minmax, smoothed
from s3tui.runs.history import FRAMES, History

CANDIDATES = [
    {"site": "attn.q", "stack": "encoder", "layer": layer, "module": f"m{layer}", "delta": "lora(rank=1)",
     "parameters": 10}
    for layer in range(3)
]  # fmt: skip


def step(number, phase="search", loss=1.0, shift=0.5, t=None):
    time = float(number or 0) if t is None else t
    return Step(phase, number, loss, 1.0, 1e-3, validation_loss=2 * loss, shift=shift, t=time)


def told(*events):
    history = History()
    history.add(Started("0", 1, 1, "cpu", "fp32", {}, t=0.0))
    history.add(Space(CANDIDATES, 30, 1000, 0, 20))
    history.add(Phase("search", 100))
    for event in events:
        history.add(event)
    return history


def test_curves_hold_every_number_of_the_steps():
    view = told(*(step(n, loss=1 / n) for n in range(1, 51))).view()
    assert view.curve("search", "train_loss") == Curve(tuple(range(1, 51)), tuple(1 / n for n in range(1, 51)))
    assert view.curve("search", "validation_loss").y[-1] == pytest.approx(2 / 50)
    assert not view.curve("search", "sampled"), "what was not told has no curve"
    assert view.seconds_at("search", 20) == 20


def test_a_long_curve_keeps_its_extremes_in_bounded_memory():
    series = Series()
    for x in range(200_000):
        series.append(x, math.sin(x / 5000) + (10 if x == 77_777 else 0) - (10 if x == 150_001 else 0))
    curve = series.curve()
    assert len(curve.x) <= 2 * CAPACITY
    assert curve.y[curve.x.index(77_777)] > 9
    assert curve.y[curve.x.index(150_001)] < -9
    assert (curve.x[0], curve.x[-1]) == (0, 199_999)


@pytest.mark.parametrize("bins", [1, 7, 100])
def test_thinning_keeps_lowest_and_highest_of_each_stretch(bins):
    x = [n**1.5 for n in range(1000)]
    y = [math.sin(n) * n for n in range(1000)]
    kept_x, kept_y = minmax(x, y, bins)
    assert len(kept_x) <= 2 * bins + 2
    assert (max(kept_y), min(kept_y)) == (max(y), min(y))
    assert kept_x == sorted(kept_x)


def test_smoothing_starts_at_the_first_value_and_ends_near_the_last():
    curve = Curve(tuple(range(200)), (4.0,) + (1.0,) * 199)
    result = smoothed(curve, 0.9)
    assert result.y[0] == pytest.approx(4.0)
    assert result.y[1] == pytest.approx((0.9 * 0.1 * 4 + 0.1) / 0.19)
    assert result.y[-1] == pytest.approx(1.0, abs=1e-6)
    assert smoothed(curve, 0) == curve


def test_frames_give_back_the_alphas():
    alpha, shift = 1.25, 0.5
    p = 1 / (1 + math.exp(-(alpha - shift) / 2.0))
    view = told(step(1, shift=shift), Gates(1, [p, 0.5, 0.0])).view()
    assert view.frames[0].alpha(0, temperature=2.0) == pytest.approx(alpha, abs=1e-6)
    assert view.frames[0].alpha(2, temperature=2.0) is None


def test_a_long_search_keeps_evenly_spread_frames_and_the_latest():
    events = [event for n in range(1, 5001) for event in (step(n), Gates(n, [n / 5001, 0.5, 0.5]))]
    frames = told(*events).view().frames
    steps = [frame.step for frame in frames]
    assert len(frames) <= FRAMES
    assert len(frames) > FRAMES / 3
    assert (steps[0], steps[-1]) == (1, 5000)
    gaps = {b - a for a, b in itertools.pairwise(steps[:-1])}
    assert len(gaps) == 1, "the steps between two frames are the same all over"


def test_a_resumed_attempt_makes_later_steps_void():
    history = told(
        *(step(n) for n in range(1, 31)), Gates(10, [0.1] * 3), Gates(30, [0.3] * 3), StructureChosen([0], 10),
        Phase("retrain", 50), step(1, "retrain"), Eval("retrain", 1, "validation", {"accuracy": 0.5}, True),
    )  # fmt: skip
    history.add(Started("0", 2, 1, "cpu", "fp32", {}, resumed_phase="search", resumed_step=20, t=1000.0))
    history.add(step(21, loss=7.0, t=1001.0))
    view = history.view()
    curve = view.curve("search", "train_loss")
    assert curve.x == (*range(1, 21), 21)
    assert curve.y[-1] == 7.0
    assert [frame.step for frame in view.frames] == [10]
    assert "retrain" not in view.phases
    assert view.selected is None
    assert view.seconds_at("search", 21) == 21, "the time between the attempts is not work"


def test_an_attempt_from_the_start_keeps_nothing():
    history = told(step(1), Gates(1, [0.1] * 3))
    history.add(Started("0", 2, 1, "cpu", "fp32", {}, t=50.0))
    view = history.view()
    assert not view.phases
    assert not view.frames


def test_what_is_no_number_or_of_no_candidate_leaves_gaps_and_no_error():
    history = told(
        step(1), Step("search", 2, None, None, None), Gates(2, [0.1]),
        StructureChosen([1, 99], 10),
    )  # fmt: skip
    view = history.view()
    assert view.curve("search", "train_loss").x == (1,)
    assert view.frames == ()
    assert view.selected == (1,)
