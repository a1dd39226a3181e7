"""The search phase: the loop of steps, evaluations and checkpoints that all search methods share, and the cut."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from core.model.gated import GatedModel
from core.run.errors import DivergedError, StoppedError
from core.run.events import EndedEarly, Eval, Phase, Step, score_of
from core.run.methods import METHODS
from core.run.selection import BY_NETWORK, Cut
from core.run.training import SearchSettings
from core.runtime.checkpoint import Snapshot
from core.runtime.checkpointer import Checkpointer
from core.runtime.reporter import Reporter
from core.search.bilevel import StepMetrics
from core.search.network_cut import NetworkCut, beginning, end_of_search
from core.training.data import is_evaluated
from core.training.evaluate import evaluate
from core.training.gradient_checkpointing import checkpointed
from core.training.setup import Setup


class HasStep(Protocol):
    """The interface of a search state: the number of completed steps, and the weights."""

    @property
    def step(self) -> int:
        """The number of completed steps."""

    @property
    def weights(self) -> Tensor:
        """The delta weights in one vector."""


State = TypeVar("State", bound=HasStep)


@dataclass
class Best:
    """The gate probabilities at the best validation score so far; of equal scores the later one counts.

    `evaluated` is the step of the latest evaluation, `selected` the structure that it would have selected, and
    `unchanged` the number of consecutive evaluations since that structure changed.
    """

    score: float = -math.inf
    p: tuple[float, ...] = ()
    evaluated: int = 0
    selected: tuple[int, ...] = ()
    unchanged: int = 0

    def settle(self, selected: tuple[int, ...]) -> None:
        """Record the structure that an evaluation would select."""
        self.unchanged = self.unchanged + 1 if selected == self.selected else 0
        self.selected = selected

    @classmethod
    def of(cls, facts: dict[str, Any]) -> Best:
        """Restore from the JSON values of a checkpoint."""
        score = facts["score"] if facts["p"] else -math.inf
        return cls(score, tuple(facts["p"]), facts["evaluated"], tuple(facts["selected"]), facts["unchanged"])

    def facts(self) -> dict[str, Any]:
        """The values that `of` restores; the initial score is None, as JSON has no minus infinity."""
        return vars(self) | {"score": self.score if self.p else None}


class Searcher(Protocol[State]):
    """The interface of a search method: pure functions of an explicit state."""

    model: GatedModel
    settings: SearchSettings
    total_steps: int
    cut: Cut

    def start(self, resumed: Snapshot | None) -> State:
        """The initial state, or the one of a checkpoint."""

    def tensors(self, state: State) -> dict[str, Tensor]:
        """The tensors that `start` restores from a checkpoint."""

    def step(self, state: State) -> tuple[State, StepMetrics]:
        """One step, with the batches and the noise of its step number."""

    def rates(self, step: int) -> tuple[float, float]:
        """The learning rates of weights and alphas at this 0-based step."""

    def probabilities(self, state: State) -> list[float]:
        """The probability p of every candidate under the budget."""

    def order(self, state: State, p: Sequence[float]) -> list[int] | None:
        """The candidates in the order in which the structure takes them (`Cut.select`); None if it goes by p."""

    def evaluated_gates(self, p: Sequence[float], selected: Sequence[int]) -> Tensor:
        """The gates with which the network is evaluated (candidates)."""

    def is_done(self, state: State, best: Best) -> str:
        """The reason why the search ends early, before its last step; empty if it continues."""

    def result(self, state: State, best: Best) -> tuple[tuple[float, ...], tuple[int, ...]]:
        """The final p and structure."""

    def prunings_left(self, state: State) -> int | None:
        """The number of prunings that are not done yet; None for a search that does not prune."""

    def first_tensors(self, state: State, selected: Sequence[int]) -> Mapping[str, Tensor]:
        """What the search has found for the start of retraining: tensors by their names in files. The rest starts as
        without a search."""


def search(
    setup: Setup, searcher: Searcher[State], checkpointer: Checkpointer, reporter: Reporter
) -> tuple[State, tuple[float, ...], tuple[int, ...]]:
    """Search and cut, from the start or from a checkpoint; returns the last state of the search, p, the structure."""
    before = checkpointer.take("cut")
    if before is None:
        state, p, selected = _learn(setup, searcher, checkpointer, reporter)
        if searcher.settings.selection not in BY_NETWORK:
            return state, p, selected
        before = beginning(p, searcher.tensors(state), state.step)
    else:
        state = searcher.start(end_of_search(before))
    cut = NetworkCut(setup, searcher.model, searcher.cut, state.weights, before, checkpointer, reporter)
    return (state, *cut.run())


def _learn(
    setup: Setup, searcher: Searcher[State], checkpointer: Checkpointer, reporter: Reporter
) -> tuple[State, tuple[float, ...], tuple[int, ...]]:
    """Take the steps of the search; returns the state at the end, and p and the structure that follows from p alone."""
    settings, total, resumed = searcher.settings, searcher.total_steps, checkpointer.take("search")
    state, best = searcher.start(resumed), Best.of(resumed.facts) if resumed else Best()
    evaluates = METHODS[setup.spec.method].evaluates
    reporter.phase(Phase("search", total), state.step, best.score)
    with checkpointed(setup.backbone.model, settings.gradient_checkpointing, setup.spec.dropout):
        while True:
            if evaluates and is_evaluated(settings, state.step, total) and best.evaluated < state.step:
                with contextlib.suppress(StoppedError):  # the resumed run evaluates again
                    _evaluate(setup, searcher, state, best, checkpointer, reporter)
            checkpointer.boundary("search", state.step, partial(_snapshot, searcher, state, best))
            if state.step == total:
                if not evaluates:  # after an evaluation they are already there
                    _report_gates(searcher, state, reporter)
                return (state, *searcher.result(state, best))
            if reason := searcher.is_done(state, best):
                reporter.event(EndedEarly("search", state.step, reason), ended_early=state.step)
                return (state, *searcher.result(state, best))
            setup.backbone.model.train()
            state, metrics = searcher.step(state)
            _report(searcher, state, metrics, reporter)


def _snapshot(searcher: Searcher[State], state: State, best: Best) -> Snapshot:
    return Snapshot("search", state.step, searcher.tensors(state), best.facts())


def _evaluate(
    setup: Setup, searcher: Searcher[State], state: State, best: Best, checkpointer: Checkpointer, reporter: Reporter
) -> None:
    """Score the network on the validation split; keep the probabilities if the score is the best so far."""
    p, order = _report_gates(searcher, state, reporter)
    selected = searcher.cut.select(p, order)
    with searcher.model.bound(state.weights, searcher.evaluated_gates(p, selected)):
        metrics = evaluate(setup.backbone, setup.data, "validation", setup.spec.eval_batch_size, checkpointer.check)
    score = score_of(metrics)
    is_best = score >= best.score
    if is_best:
        best.score, best.p = score, tuple(p)
    best.evaluated = state.step
    best.settle(selected)
    reporter.event(Eval("search", state.step, "validation", metrics, is_best))


def _report_gates(searcher: Searcher[State], state: State, reporter: Reporter) -> tuple[list[float], list[int] | None]:
    """Write p and the order of the candidates, however recently they were written, and return them."""
    p = searcher.probabilities(state)
    order = searcher.order(state, p)
    reporter.all_gates(state.step, p, order)
    return p, order


def _report(searcher: Searcher[State], state: State, metrics: StepMetrics, reporter: Reporter) -> None:
    """Write the events of a step; raises DivergedError if a number is not finite."""
    numbers, p = _to_host(metrics)
    bad = [f"{name} is {value}" for name, value in numbers.items() if not math.isfinite(value)]
    if bad or not all(map(math.isfinite, p)):
        what = bad[0].replace("_", " ") if bad else "a gate probability is not finite"
        raise DivergedError(f"the search diverged at step {state.step}: {what}", "lower the learning rates")
    lr, alpha_lr = searcher.rates(state.step - 1)
    order = searcher.order(state, p)
    selected = sum(searcher.model.parameters[i] for i in searcher.cut.select(p, order))
    event = Step("search", state.step, learning_rate=lr, alpha_learning_rate=alpha_lr, selected=selected, **numbers)
    reporter.event(event, step=state.step)
    reporter.gates(state.step, p, order)


def _to_host(m: StepMetrics) -> tuple[dict[str, Any], list[float]]:
    """The metrics of a step as Python numbers, and p, in one transfer from the device."""
    scalars: dict[str, Tensor] = {k: v for k, v in vars(m).items() if k != "p" and v is not None}
    values = torch.cat([torch.stack([s.double() for s in scalars.values()]), m.p.double()]).tolist()
    return dict(zip(scalars, values, strict=False)), values[len(scalars) :]
