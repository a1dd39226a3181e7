"""One step of the bi-level search, from top to bottom.

The outer level moves the gates' alphas down the validation loss as seen through a virtual step of the weights; the
inner level moves the weights down the training loss under fresh gates (S3 paper, section 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from core.model.gated import GatedModel
from core.run.spec import SearchSettings
from core.search import adamw
from core.search.choices import Choices
from core.search.gates import gate_logits, sample
from core.search.hypergradient import METHODS
from core.tasks.randomness import generator, seed_for

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Problem:
    """What does not change during a search: the gated model, what candidates cost, the budget, the settings,
    and which candidates are alternatives (None: none are)."""

    model: GatedModel
    parameters: Tensor
    budget: float
    settings: SearchSettings
    total_steps: int
    choices: Choices | None = None

    def logits(self, alpha: Tensor) -> tuple[Tensor, Tensor]:
        """logit p for these alphas, and the shift that holds the budget."""
        s = self.settings
        return gate_logits(alpha, self.parameters, self.budget, s.temperature, s.shift_gradient, self.choices)

    def rates(self, step: int) -> tuple[float, float]:
        """The learning rates of weights and alphas at this 0-based step."""
        s, total = self.settings, self.total_steps
        weights = s.learning_rate * adamw.linear_decay(step, total, s.warmup_steps)
        return weights, s.alpha_learning_rate * adamw.linear_decay(step, total, s.alpha_warmup_steps)


@dataclass(frozen=True)
class SearchState:
    """All that a search has learned: delta weights, alphas, and the optimisers' moments; `step` steps are done."""

    step: int
    weights: Tensor
    weight_moments: adamw.Moments
    alpha: Tensor
    alpha_moments: adamw.Moments


@dataclass(frozen=True)
class Noise:
    """The randomness of one step: uniforms of the outer step and of the weight step, and a seed for the dropout
    masks of each pass: virtual step, validation, second-order passes, weight step."""

    outer: Tensor
    weights: Tensor
    masks: Sequence[int]

    @classmethod
    def draw(cls, seed: int, step: int, candidates: int, shared_dropout: bool, device: torch.device) -> Noise:
        """The noise of a step: a pure function of the seed and the step."""
        outer, weights = (
            torch.rand(candidates, generator=generator(seed, "gates", step, which)).to(device)
            for which in ("outer", "weights")
        )
        passes = (0, 0, 0, 0, 4) if shared_dropout else range(5)
        return cls(outer, weights, [seed_for(seed, "dropout", step, number) for number in passes])


@dataclass(frozen=True)
class StepMetrics:
    """What one step showed, on the device: losses, gradient norms before clipping, parameters, shift."""

    train_loss: Tensor
    validation_loss: Tensor
    gradient_norm: Tensor
    alpha_gradient_norm: Tensor
    expected: Tensor
    sampled: Tensor
    shift: Tensor
    p: Tensor


def initial_state(problem: Problem, weights: Tensor) -> SearchState:
    """Before the first step: all alphas at zero, so that equal candidates are equally probable."""
    alpha = torch.zeros_like(problem.parameters, dtype=torch.float32)
    return SearchState(0, weights, adamw.initial(weights), alpha, adamw.initial(alpha))


def search_step(
    problem: Problem, state: SearchState, train: Batch, validation: Batch, noise: Noise
) -> tuple[SearchState, StepMetrics]:
    """Move the alphas once, then the weights once."""
    settings = problem.settings
    lr, alpha_lr = problem.rates(state.step)

    alpha = state.alpha.detach().requires_grad_()
    logits, _ = problem.logits(alpha)
    z = sample(logits, noise.outer, settings.gates == "hard", problem.choices)
    gates_gradient, validation_loss = outer_gradient(problem, state, z.detach(), train, validation, noise, lr)
    (alpha_gradient,) = torch.autograd.grad(z, alpha, gates_gradient)
    clipped, alpha_norm = adamw.clip(alpha_gradient, settings.clip)
    new_alpha, alpha_moments = adamw.update(state.alpha, clipped, state.alpha_moments, alpha_lr)

    new_logits, shift = problem.logits(new_alpha)
    z_weights = sample(new_logits, noise.weights, settings.gates == "hard", problem.choices)
    passes = TrainPasses(problem.model, train, z_weights, noise.masks[4:])
    loss, gradient, _ = passes.all_gradients(state.weights)
    clipped, norm = adamw.clip(gradient, settings.clip)
    weights, moments = adamw.update(state.weights, clipped, state.weight_moments, lr, settings.weight_decay)

    p = torch.sigmoid(new_logits)
    cost = problem.parameters.double()
    metrics = StepMetrics(loss, validation_loss, norm, alpha_norm, p @ cost, z.detach().double() @ cost, shift, p)
    return SearchState(state.step + 1, weights, moments, new_alpha, alpha_moments), metrics


def outer_gradient(
    problem: Problem, state: SearchState, z: Tensor, train: Batch, validation: Batch, noise: Noise, lr: float
) -> tuple[Tensor, Tensor]:
    """d L_val(w'(z), z) / dz (candidates) and L_val(w'(z), z): the outer gradient before it goes on to the alphas.

    First order takes the weights not to follow the gates: w' = w, and no virtual step is needed.
    """
    settings, w, moments = problem.settings, state.weights, state.weight_moments
    outer = TrainPasses(problem.model, validation, z, noise.masks[1:2])
    if settings.hypergradient == "first-order":
        return outer.gates_gradient(w)

    passes = TrainPasses(problem.model, train, z, [noise.masks[0], *noise.masks[2:4]])
    _, gradient, here = passes.all_gradients(w)
    step_gradient = adamw.clip(gradient, settings.clip)[0] if settings.clip_virtual else gradient
    virtual, _ = adamw.update(w, step_gradient, moments, lr, settings.weight_decay)

    validation_loss, validation_gradient, direct = outer.all_gradients(virtual)

    direction = -lr * validation_gradient
    if settings.virtual_scaling == "adamw":
        direction = adamw.derivative(step_gradient, moments, lr) * validation_gradient
        if settings.clip_virtual:
            direction = adamw.clip_transpose(gradient, settings.clip, direction)
    correction = METHODS[settings.hypergradient](passes, w, direction, here)
    return direct + correction, validation_loss


class TrainPasses:
    """Forward and backward passes over one batch with fixed gates; dropout masks come from `masks` in turn."""

    def __init__(self, model: GatedModel, batch: Batch, gates: Tensor, masks: Sequence[int]) -> None:
        self._model, self._batch, self._gates = model, batch, gates.detach().requires_grad_()
        self._masks = iter(masks)

    def all_gradients(self, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The loss, its gradient to the weights and to the gates."""
        weights = weights.detach().requires_grad_()
        loss = self._loss(weights)
        to_weights, to_gates = torch.autograd.grad(loss, (weights, self._gates))
        return loss.detach(), to_weights, to_gates

    def gates_gradient(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """The gradient to the gates alone, and the loss."""
        loss = self._loss(weights.detach())
        (to_gates,) = torch.autograd.grad(loss, self._gates)
        return to_gates, loss.detach()

    def mixed_product(self, weights: Tensor, direction: Tensor) -> Tensor:
        """grad_z [ direction . grad_w L ]; fused attention has no second derivative, so the plain one is used."""
        weights = weights.detach().requires_grad_()
        with sdpa_kernel(SDPBackend.MATH):
            loss = self._loss(weights)
            (to_weights,) = torch.autograd.grad(loss, weights, create_graph=True)
            (product,) = torch.autograd.grad(to_weights @ direction, self._gates)
        return product

    def _loss(self, weights: Tensor) -> Tensor:
        # Dropout has no other source than the global generator.
        torch.manual_seed(next(self._masks))
        return self._model.loss(weights, self._gates, self._batch)
