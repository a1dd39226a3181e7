"""The current state of a run, reduced from its event stream."""

from __future__ import annotations

from dataclasses import dataclass, replace

from core.run.events import (
    STEPPED,
    Eval,
    Event,
    Failed,
    Finished,
    Phase,
    SearchTaken,
    Space,
    Started,
    Step,
    StructureChosen,
)

PHASES = ("", *STEPPED, "test")  # in the order of a run


@dataclass(frozen=True)
class Evaluation:
    """One evaluation; `best`: whether it was the best of its phase at the time."""

    phase: str
    step: int
    metric: str
    score: float | None
    best: bool


@dataclass(frozen=True)
class RunState:
    """The current state of a run. None means: not known (yet). Times are seconds since the epoch.

    `expected` and `selected` are current numbers of parameters, `parameters` that of the chosen structure. `score` is
    the first metric of the latest evaluation, `best` the best of its phase. `evaluations` are those on the validation
    split so far, without those that a resumed attempt repeats. `search_from` is the run whose search was taken.
    """

    attempt: int = 0
    device: str = ""
    started: float | None = None
    latest: float | None = None
    phase: str = ""
    step: int = 0
    total: int | None = None
    train_loss: float | None = None
    validation_loss: float | None = None
    expected: float | None = None
    selected: int | None = None
    parameters: int | None = None
    budget: int | None = None
    backbone_parameters: int | None = None
    metric: str = ""
    score: float | None = None
    best: float | None = None
    evaluations: tuple[Evaluation, ...] = ()
    search_from: str = ""
    finished: bool = False
    failure: Failed | None = None
    pace_from: tuple[int, float] | None = None  # step and time of the first step of this phase and attempt

    @property
    def elapsed(self) -> float | None:
        """Seconds from the start of this attempt to its latest event."""
        return None if self.started is None or self.latest is None else max(0.0, self.latest - self.started)

    @property
    def eta(self) -> float | None:
        """Estimated seconds for the rest of the phase, at its pace so far; None before the pace is known."""
        if self.pace_from is None or self.total is None or self.latest is None:
            return None
        first, since = self.pace_from
        if self.step <= first or self.latest < since:
            return None
        return max(0, self.total - self.step) * (self.latest - since) / (self.step - first)


def fold(state: RunState, event: Event) -> RunState:
    """The state after one more event. NaN, which is written as null, is None."""
    if isinstance(event, Step):
        return _step(state, event)
    state = replace(state, latest=event.t)
    if isinstance(event, Started):
        return _started(state, event)
    if isinstance(event, Space):
        return replace(state, budget=event.budget, backbone_parameters=event.backbone_parameters)
    if isinstance(event, Phase):
        return _phase(state, event)
    if isinstance(event, Eval):
        return _eval(state, event)
    if isinstance(event, SearchTaken):
        return replace(state, search_from=event.source)
    if isinstance(event, StructureChosen):
        return replace(state, parameters=event.parameters)
    if isinstance(event, Finished):
        return replace(state, finished=True, score=event.score)
    if isinstance(event, Failed):
        return replace(state, failure=event)
    return state


def _step(state: RunState, event: Step) -> RunState:
    return replace(
        state,
        latest=event.t,
        phase=event.phase,
        step=event.step,
        train_loss=event.train_loss,
        validation_loss=event.validation_loss,
        expected=event.expected,
        selected=event.selected,
        pace_from=state.pace_from or (event.step, event.t),
    )


def _phase(state: RunState, event: Phase) -> RunState:
    """A phase begins, or is resumed in a new attempt."""
    if event.phase == state.phase:
        return replace(state, total=event.total)
    return replace(
        state, phase=event.phase, total=event.total, step=0, best=None, train_loss=None, validation_loss=None,
        pace_from=None,
    )  # fmt: skip


def _started(state: RunState, event: Started) -> RunState:
    """A new attempt, which resumes after a step: events of later steps are void."""
    phase, step = event.resumed_phase, event.resumed_step
    kept = tuple(e for e in state.evaluations if _place(e.phase, e.step) <= _place(phase, step))
    same_phase, has_searched = phase == state.phase, _place(phase, step) > _place("cut", 2**62)
    fresh = RunState(
        attempt=event.attempt,
        device=event.device,
        started=event.t,
        latest=event.t,
        phase=phase,
        step=step,
        total=state.total if same_phase else None,
        parameters=state.parameters if has_searched else None,
        search_from=state.search_from if has_searched else "",
        budget=state.budget,
        backbone_parameters=state.backbone_parameters,
    )
    return _with_evaluations(fresh, kept)


def _place(phase: str, step: int) -> tuple[int, int]:
    """A position in a run, for comparison."""
    return (PHASES.index(phase) if phase in PHASES else len(PHASES), step)


def _eval(state: RunState, event: Eval) -> RunState:
    metric, score = next(iter(event.metrics.items()), ("", None))
    evaluation = Evaluation(event.phase, event.step, metric, score, event.best)
    return _with_evaluations(state, (*state.evaluations, evaluation))


def _with_evaluations(state: RunState, evaluations: tuple[Evaluation, ...]) -> RunState:
    """The state whose latest and best scores are those of these evaluations."""
    if not evaluations:
        return replace(state, evaluations=(), metric="", score=None, best=None)
    last = evaluations[-1]
    of_phase = [e for e in evaluations if e.phase == last.phase]
    best = next((e for e in reversed(of_phase) if e.best), of_phase[0])
    return replace(state, evaluations=evaluations, metric=last.metric, score=last.score, best=best.score)
