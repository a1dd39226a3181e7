"""The search phase: bi-level steps until the end, with an evaluation now and then; what was best is kept."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from core.model.gated import GatedModel
from core.run.errors import DivergedError, StoppedError
from core.run.events import Eval, Phase, Step, score_of
from core.run.spec import RunSpec
from core.run.structure import select
from core.search.adamw import Moments
from core.search.bilevel import Noise, Problem, SearchState, StepMetrics, initial_state, search_step
from core.search.checkpoint import Snapshot
from core.search.choices import Choices
from core.search.data import is_evaluated, search_orders, total_steps
from core.search.evaluate import evaluate
from core.search.keeper import Keeper
from core.search.loading import Setup
from core.search.reporter import Reporter


@dataclass
class Best:
    """The gate probabilities at the best validation score so far; of equal scores the later one counts.

    `evaluated` is the step of the latest evaluation.
    """

    score: float = -math.inf
    p: tuple[float, ...] = ()
    evaluated: int = 0


def prepare(spec: RunSpec, model: GatedModel, budget: int, rows: int) -> Problem:
    """The fixed part of a search."""
    costs = torch.tensor(model.parameters, device=model.device)
    choices = Choices.of(model.choices, model.device)
    return Problem(model, costs, budget, spec.search, total_steps(spec.search, rows), choices)


def search(setup: Setup, problem: Problem, keeper: Keeper, reporter: Reporter) -> tuple[float, ...]:
    """Search from the pretrained network, or on from a checkpoint; gives p where the validation score was best."""
    spec, settings, model, data = setup.spec, setup.spec.search, problem.model, setup.data
    outer_size = settings.validation_batch_size or settings.batch_size
    inner, outer = search_orders(len(data.splits["train"]), settings.batch_size, outer_size, spec.seed)
    state, best = _start(setup, problem, keeper.take("search"))
    reporter.phase(Phase("search", problem.total_steps), state.step, best.score)
    while True:
        if is_evaluated(settings, state.step, problem.total_steps) and best.evaluated < state.step:
            with contextlib.suppress(StoppedError):  # the resumed run evaluates again
                _evaluate(setup, problem, state, best, keeper, reporter)
        keeper.boundary("search", state.step, partial(_snapshot, state, best))
        if state.step == problem.total_steps:
            return best.p
        setup.backbone.model.train()
        noise = Noise.draw(spec.seed, state.step, len(model.placed), settings.shared_dropout, model.device)
        batches = data.batch("train", inner.at(state.step)), data.batch("train", outer.at(state.step))
        state, metrics = search_step(problem, state, *batches, noise)
        _report(problem, state.step, metrics, reporter)


def _start(setup: Setup, problem: Problem, resumed: Snapshot | None) -> tuple[SearchState, Best]:
    """The state before the first step, or that of a checkpoint."""
    if resumed is None:
        weights = problem.model.initial_weights(setup.spec.seed, setup.spec.adapter_init == "paper")
        return initial_state(problem, weights), Best()
    t = {name: tensor.to(problem.model.device) for name, tensor in resumed.tensors.items()}
    of_weights = Moments(resumed.step, t["weights.mean"], t["weights.square"])
    of_alpha = Moments(resumed.step, t["alpha.mean"], t["alpha.square"])
    state = SearchState(resumed.step, t["weights"], of_weights, t["alpha"], of_alpha)
    facts = resumed.facts
    best = Best(facts["score"], tuple(facts["p"])) if facts["p"] else Best()
    best.evaluated = facts["evaluated"]
    return state, best


def _snapshot(state: SearchState, best: Best) -> Snapshot:
    """What `_start` goes on from."""
    tensors = {
        "weights": state.weights, "weights.mean": state.weight_moments.mean,
        "weights.square": state.weight_moments.square,
        "alpha": state.alpha, "alpha.mean": state.alpha_moments.mean, "alpha.square": state.alpha_moments.square,
    }  # fmt: skip
    score = best.score if best.p else None
    return Snapshot("search", state.step, tensors, {"score": score, "p": best.p, "evaluated": best.evaluated})


def _evaluate(
    setup: Setup, problem: Problem, state: SearchState, best: Best, keeper: Keeper, reporter: Reporter
) -> None:
    """Score the network as it stands; keep the probabilities where it is the best so far."""
    p = torch.sigmoid(problem.logits(state.alpha)[0]).tolist()
    reporter.all_gates(state.step, p)
    with problem.model.bound(state.weights, _evaluated_gates(problem, p)):
        metrics = evaluate(setup.backbone, setup.data, "validation", setup.spec.eval_batch_size, keeper.stop.check)
    score = score_of(metrics)
    is_best = score >= best.score
    if is_best:
        best.score, best.p = score, tuple(p)
    best.evaluated = state.step
    reporter.evaluation(Eval("search", state.step, "validation", metrics, is_best))


def _evaluated_gates(problem: Problem, p: list[float]) -> Tensor:
    """Soft gates at their probabilities; with hard ones, the structure that would be cut out now is open."""
    gates = torch.tensor(p, device=problem.model.device)
    if problem.settings.gates == "soft":
        return gates
    chosen = _selected(problem, p)
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
    if not all(map(math.isfinite, numbers + p)):
        raise DivergedError(f"the search diverged at step {step}: {_first_bad(numbers)}", "lower the learning rates")
    train, validation, norm, alpha_norm, expected, sampled, shift = numbers
    lr, alpha_lr = problem.rates(step - 1)
    chosen = _selected(problem, p)
    event = Step(
        "search", step, train, norm, lr,
        validation_loss=validation, alpha_gradient_norm=alpha_norm, alpha_learning_rate=alpha_lr,
        expected=expected, sampled=sampled, shift=shift,
        selected=sum(problem.model.parameters[i] for i in chosen),
    )  # fmt: skip
    reporter.event(event, step=step)
    reporter.gates(step, p)


_NAMES = ("train loss", "validation loss", "gradient norm", "alpha gradient norm", "expected", "sampled", "shift")


def _first_bad(numbers: list[float]) -> str:
    bad = [f"{name} is {value}" for name, value in zip(_NAMES, numbers, strict=True) if not math.isfinite(value)]
    return bad[0] if bad else "a gate probability is not finite"


def _to_host(m: StepMetrics) -> tuple[list[float], list[float]]:
    """All numbers of a step in one transfer from the device."""
    scalars: list[Tensor] = [
        m.train_loss, m.validation_loss, m.gradient_norm, m.alpha_gradient_norm, m.expected, m.sampled, m.shift,
    ]  # fmt: skip
    values = torch.cat([torch.stack([s.double() for s in scalars]), m.p.double()]).tolist()
    return values[: len(scalars)], values[len(scalars) :]
