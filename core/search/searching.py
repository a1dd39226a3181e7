"""The search phase: steps until the end, with an evaluation now and then; what was best is kept."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from core.model.gated import GatedModel
from core.run.errors import DivergedError, StoppedError
from core.run.events import EndedEarly, Eval, Phase, Step, score_of
from core.run.spec import RunSpec
from core.run.structure import select
from core.search import adamw
from core.search.bilevel import Problem, SearchState, StepMetrics, initial_state, one_level_step, search_step
from core.search.checkpoint import Snapshot
from core.search.checkpointed import checkpointed
from core.search.choices import Choices
from core.search.data import Order, is_evaluated, search_orders, total_steps
from core.search.evaluate import evaluate
from core.search.gates import stretched
from core.search.keeper import Keeper
from core.search.loading import Setup
from core.search.optimizers import restored, tensors_of
from core.search.passes import Noise
from core.search.reporter import Reporter


@dataclass
class Best:
    """The gate probabilities at the best validation score so far; of equal scores the later one counts.

    `evaluated` is the step of the latest evaluation, `selected` what would have been cut out then, and `unchanged` how
    many evaluations in a row found the same as the one before them.
    """

    score: float = -math.inf
    p: tuple[float, ...] = ()
    evaluated: int = 0
    selected: tuple[int, ...] = ()
    unchanged: int = 0

    def settle(self, selected: tuple[int, ...]) -> None:
        """Take note of the structure that an evaluation found."""
        self.unchanged = self.unchanged + 1 if selected == self.selected else 0
        self.selected = selected


def prepare(spec: RunSpec, model: GatedModel, budget: int, rows: int) -> Problem:
    """The fixed part of a search."""
    costs = torch.tensor(model.parameters, device=model.device)
    choices = Choices.of(model.choices, model.device)
    return Problem(model, costs, budget, spec.search, total_steps(spec.search, rows), choices)


def search(setup: Setup, problem: Problem, keeper: Keeper, reporter: Reporter) -> tuple[float, ...]:
    """Search from the pretrained network, or on from a checkpoint; gives p where the validation score was best."""
    spec, settings = setup.spec, setup.spec.search
    orders = search_orders(len(setup.data.splits["train"]), settings, spec.seed)
    state, best = _start(setup, problem, keeper.take("search"))
    reporter.phase(Phase("search", problem.total_steps), state.step, best.score)
    with checkpointed(setup.backbone.model, settings.gradient_checkpointing):
        while True:
            if is_evaluated(settings, state.step, problem.total_steps) and best.evaluated < state.step:
                with contextlib.suppress(StoppedError):  # the resumed run evaluates again
                    _evaluate(setup, problem, state, best, keeper, reporter)
            keeper.boundary("search", state.step, partial(_snapshot, state, best))
            if state.step == problem.total_steps:
                return best.p
            if settings.patience is not None and best.unchanged >= settings.patience:
                reporter.event(EndedEarly("search", state.step, best.unchanged), ended_early=state.step)
                return best.p
            setup.backbone.model.train()
            state, metrics = _step(setup, problem, state, orders)
            _report(problem, state.step, metrics, reporter)


def _step(
    setup: Setup, problem: Problem, state: SearchState, orders: tuple[Order, Order]
) -> tuple[SearchState, StepMetrics]:
    """One step with the batches and the noise of its number."""
    settings, data, step = problem.settings, setup.data, state.step
    noise = Noise.draw(
        setup.spec.seed, step, len(problem.model.placed), settings.shared_gates, settings.shared_dropout, data.device
    )
    train = data.batches("train", orders[0].at(step))
    if not settings.bilevel:
        return one_level_step(problem, state, train, noise)
    return search_step(problem, state, train, data.batches("train", orders[1].at(step)), noise)


def _start(setup: Setup, problem: Problem, resumed: Snapshot | None) -> tuple[SearchState, Best]:
    """The state before the first step, or that of a checkpoint."""
    if resumed is None:
        weights = problem.model.initial_weights(setup.spec.seed, setup.spec.adapter_init == "paper")
        return initial_state(problem, weights), Best()
    t = {name: tensor.to(problem.model.device) for name, tensor in resumed.tensors.items()}
    of: dict[str, dict[str, Tensor]] = {"weights": {}, "alpha": {}}
    for name, tensor in t.items():
        owner, _, part = name.partition(".")
        if part:
            of[owner][part] = tensor
    start = problem.optimizer.initial(t["weights"])
    of_weights = restored(start, resumed.step, of["weights"])
    of_alpha = restored(adamw.initial(t["alpha"]), resumed.step, of["alpha"])
    facts = resumed.facts
    score = facts["score"] if facts["p"] else -math.inf
    best = Best(score, tuple(facts["p"]), facts["evaluated"], tuple(facts["selected"]), facts["unchanged"])
    return SearchState(resumed.step, t["weights"], of_weights, t["alpha"], of_alpha), best


def _snapshot(state: SearchState, best: Best) -> Snapshot:
    """What `_start` goes on from."""
    tensors = {"weights": state.weights, "alpha": state.alpha}
    tensors |= {f"weights.{name}": tensor for name, tensor in tensors_of(state.weight_state).items()}
    tensors |= {f"alpha.{name}": tensor for name, tensor in tensors_of(state.alpha_moments).items()}
    facts = vars(best) | {"score": best.score if best.p else None}
    return Snapshot("search", state.step, tensors, facts)


def _evaluate(
    setup: Setup, problem: Problem, state: SearchState, best: Best, keeper: Keeper, reporter: Reporter
) -> None:
    """Score the network as it stands; keep the probabilities where it is the best so far."""
    p = torch.sigmoid(problem.final_logits(state.alpha, state.step)).tolist()
    reporter.all_gates(state.step, p)
    chosen = _selected(problem, p)
    with problem.model.bound(state.weights, _evaluated_gates(problem, p, chosen)):
        metrics = evaluate(setup.backbone, setup.data, "validation", setup.spec.eval_batch_size, keeper.stop.check)
    score = score_of(metrics)
    is_best = score >= best.score
    if is_best:
        best.score, best.p = score, tuple(p)
    best.evaluated = state.step
    best.settle(chosen)
    reporter.evaluation(Eval("search", state.step, "validation", metrics, is_best))


def _evaluated_gates(problem: Problem, p: list[float], chosen: Sequence[int]) -> Tensor:
    """Soft gates at their probabilities; with hard ones, the structure that would be cut out now is open."""
    settings = problem.settings
    gates = torch.tensor(p, device=problem.model.device)
    if settings.gates == "soft":
        return stretched(gates, settings.stretch_low, settings.stretch_high)
    gates = torch.zeros_like(gates)
    gates[list(chosen)] = 1.0
    return gates


def _selected(problem: Problem, p: list[float]) -> tuple[int, ...]:
    """The structure that would be cut out now."""
    model = problem.model
    return select(p, model.parameters, problem.budget, problem.settings.selection, model.choices)


def _report(problem: Problem, step: int, metrics: StepMetrics, reporter: Reporter) -> None:
    """Write the events of a step. Raises DivergedError where a number is not finite."""
    numbers, p = _to_host(metrics)
    bad = [f"{name} is {value}" for name, value in numbers.items() if not math.isfinite(value)]
    if bad or not all(map(math.isfinite, p)):
        what = bad[0].replace("_", " ") if bad else "a gate probability is not finite"
        raise DivergedError(f"the search diverged at step {step}: {what}", "lower the learning rates")
    lr, alpha_lr = problem.rates(step - 1)
    chosen = _selected(problem, p)
    selected = sum(problem.model.parameters[i] for i in chosen)
    event = Step("search", step, learning_rate=lr, alpha_learning_rate=alpha_lr, selected=selected, **numbers)
    reporter.event(event, step=step)
    reporter.gates(step, p)


def _to_host(m: StepMetrics) -> tuple[dict[str, Any], list[float]]:
    """All numbers of a step by their names, and p, in one transfer from the device."""
    scalars: dict[str, Tensor] = {k: v for k, v in vars(m).items() if k != "p" and v is not None}
    values = torch.cat([torch.stack([s.double() for s in scalars.values()]), m.p.double()]).tolist()
    return dict(zip(scalars, values, strict=False)), values[len(scalars) :]
