"""The search phase: bi-level steps until the end, evaluation on the way, and the structure cut out of the best."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from core.model.backbone import Backbone
from core.model.gated import GatedModel
from core.run.errors import DivergedError
from core.run.events import Eval, Step
from core.run.spec import RunSpec
from core.run.structure import Structure, select
from core.search.bilevel import Noise, Problem, SearchState, StepMetrics, initial_state, search_step
from core.search.data import Data, search_orders, total_steps
from core.search.evaluate import evaluate
from core.search.reporter import Reporter


@dataclass
class Best:
    """The gate probabilities at the best validation score so far; of equal scores the later one counts."""

    score: float = -math.inf
    p: tuple[float, ...] = ()


def prepare(spec: RunSpec, model: GatedModel, budget: int, rows: int) -> Problem:
    """The fixed part of a search."""
    costs = torch.tensor(model.parameters, device=model.device)
    return Problem(model, costs, budget, spec.search, total_steps(spec.search, rows))


def search(spec: RunSpec, problem: Problem, backbone: Backbone, data: Data, reporter: Reporter) -> Structure:
    """Search from the pretrained network; returns every candidate with its p, and the selection under the budget."""
    settings, model = spec.search, problem.model
    state = initial_state(problem, model.initial_weights(spec.seed, spec.adapter_init == "paper"))
    outer_size = settings.validation_batch_size or settings.batch_size
    inner, outer = search_orders(len(data.splits["train"]), settings.batch_size, outer_size, spec.seed)
    best = Best()
    while state.step < problem.total_steps:
        backbone.model.train()
        noise = Noise.draw(spec.seed, state.step, len(model.placed), settings.shared_dropout, model.device)
        batches = data.batch("train", inner.at(state.step)), data.batch("train", outer.at(state.step))
        state, metrics = search_step(problem, state, *batches, noise)
        p = _report(problem, state.step, metrics, reporter)
        if state.step % settings.eval_every == 0 or state.step == problem.total_steps:
            reporter.all_gates(state.step, p)
            _evaluate(spec, problem, state, p, backbone, data, best, reporter)
    candidates = tuple(placed.candidate for placed in model.placed)
    selected = select(best.p, model.parameters, problem.budget, settings.selection)
    return Structure(candidates, best.p, selected, int(problem.budget), spec.model)


def _evaluate(
    spec: RunSpec,
    problem: Problem,
    state: SearchState,
    p: list[float],
    backbone: Backbone,
    data: Data,
    best: Best,
    reporter: Reporter,
) -> None:
    """Score the network as it stands; keep the probabilities where it is the best so far.

    Soft gates are at their probabilities; with hard ones, the structure that would be cut out now is open.
    """
    gates = torch.tensor(p, device=problem.model.device)
    if problem.settings.gates == "hard":
        chosen = select(p, problem.model.parameters, problem.budget, problem.settings.selection)
        gates = torch.zeros_like(gates)
        gates[list(chosen)] = 1.0
    with problem.model.bound(state.weights, gates):
        metrics = evaluate(backbone, data, "validation", spec.eval_batch_size)
    score = next(iter(metrics.values()))
    is_best = score >= best.score
    if is_best:
        best.score, best.p = score, tuple(p)
    reporter.evaluation(Eval("search", state.step, "validation", metrics, is_best))


def _report(problem: Problem, step: int, metrics: StepMetrics, reporter: Reporter) -> list[float]:
    """Write the events of a step; gives p on the host. Raises DivergedError where a number is not finite."""
    numbers, p = _to_host(metrics)
    if not all(map(math.isfinite, numbers + p)):
        raise DivergedError(f"the search diverged at step {step}: {_first_bad(numbers)}", "lower the learning rates")
    train, validation, norm, alpha_norm, expected, sampled, shift = numbers
    lr, alpha_lr = problem.rates(step - 1)
    chosen = select(p, problem.model.parameters, problem.budget, problem.settings.selection)
    event = Step(
        "search", step, train, norm, lr,
        validation_loss=validation, alpha_gradient_norm=alpha_norm, alpha_learning_rate=alpha_lr,
        expected=expected, sampled=sampled, shift=shift,
        selected=sum(problem.model.parameters[i] for i in chosen),
    )  # fmt: skip
    reporter.event(event, step=step)
    reporter.gates(step, p)
    return p


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
