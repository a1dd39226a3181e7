"""What an arm has done so far, read from its events: scores at rungs, steps, seconds."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.run.events import Eval, Event, EventReader, Started, score_of
from s3tui.runs.run_state import PHASES, RunState, fold

RETRAIN = "retrain"


@dataclass(frozen=True)
class Track:
    """`evaluations` are steps of retraining with the validation score there; `seconds` those of all attempts.

    `steps` are of search and retraining; `pace` is the seconds of a step of retraining, 0 where it is not known.
    """

    evaluations: tuple[tuple[int, float], ...] = ()
    steps: int = 0
    seconds: float = 0.0
    pace: float = 0.0

    def scores(self, rungs: Sequence[int]) -> dict[int, float]:
        """The best validation score up to each rung that was reached: that of the weights which would be kept there."""
        reached = {step for step, _ in self.evaluations}
        return {
            rung: max(score for step, score in self.evaluations if step <= rung) for rung in rungs if rung in reached
        }


def track(events: Path) -> Track:
    """The track in an event file, empty where there is none. Files that have not changed are not read again."""
    try:
        found = events.stat()
    except OSError:
        return Track()
    return _track(events, found.st_size, found.st_mtime_ns)


@functools.lru_cache(maxsize=2**12)
def _track(events: Path, size: int, changed: int) -> Track:
    reader = EventReader(events, every_step=False)
    found = reader.poll()
    reader.close()
    return track_of(found)


def track_of(events: Sequence[Event]) -> Track:
    """The track in a list of events, of which those that a later attempt repeats are void."""
    state, seconds, pace = RunState(), 0.0, 0.0
    steps: dict[str, int] = {}  # of each phase, of which the last one, the test, has none
    evaluations: dict[int, float] = {}
    for event in events:
        if isinstance(event, Started):
            seconds += state.elapsed or 0.0
            resumed = event.resumed_step if event.resumed_phase == RETRAIN else 0
            evaluations = {step: score for step, score in evaluations.items() if step <= resumed}
            steps = {phase: n for phase, n in steps.items() if phase in PHASES[: _index(event.resumed_phase)]}
        state = fold(state, event)
        if isinstance(event, Eval) and event.phase == RETRAIN:
            evaluations[event.step] = _number(score_of(event.metrics))
        if state.phase == RETRAIN:
            pace = _pace(state) or pace
        if state.phase in PHASES:
            steps[state.phase] = state.step
    return Track(tuple(sorted(evaluations.items())), sum(steps.values()), seconds + (state.elapsed or 0.0), pace)


def _index(phase: str) -> int:
    """The place of a phase in the order of a run; an unknown one comes last."""
    return PHASES.index(phase) if phase in PHASES else len(PHASES)


def _number(score: float | None) -> float:
    """A score that can be compared: NaN, which is written as null, is worse than any other."""
    return -math.inf if score is None else score


def _pace(state: RunState) -> float:
    """Seconds of a step of retraining, evaluations included, in the current attempt."""
    if state.pace_from is None or state.latest is None or state.step <= state.pace_from[0]:
        return 0.0
    return max(0.0, state.latest - state.pace_from[1]) / (state.step - state.pace_from[0])
