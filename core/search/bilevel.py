"""One step of the search, from top to bottom.

The outer level moves the gates' alphas down the validation loss as seen through a virtual step of the weights; the
inner level moves the weights down the training loss under fresh gates (S3 paper, section 3). A search of one level
moves both down the training loss, in one pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from core.model.gated import GatedModel
from core.run.structure import whole_space
from core.run.training import SearchSettings
from core.search.alternatives import Choices
from core.search.gates import STRATEGIES, l0_penalty, sample
from core.search.hypergradient import METHODS
from core.search.passes import SECOND, THIRD, VALIDATION, VIRTUAL, WEIGHTS, Noise, TrainPasses
from core.search.schedule import learning_rates
from core.training.data import Batches
from core.training.optim import adamw
from core.training.optim.registry import Optimizer, State, optimizer_of
from core.training.optim.step_scale import Scale


@dataclass(frozen=True)
class Problem:
    """What does not change during a search: the gated model, what candidates cost, the budget, the settings,
    which candidates are alternatives (None: none are), and what multiplies the learning rate of the weights."""

    model: GatedModel
    parameters: Tensor
    budget: float
    settings: SearchSettings
    total_steps: int
    choices: Choices | None = None
    scale: Scale = 1.0

    def logits(self, alpha: Tensor, step: int) -> tuple[Tensor, Tensor | None]:
        """logit p for these alphas at this 0-based step, and the shift where the strategy has one."""
        return self._logits(alpha, step, self.budget_at(step))

    def final_logits(self, alpha: Tensor, step: int) -> Tensor:
        """logit p under the budget itself, even while that of the gates is still falling."""
        return self._logits(alpha, step, self.budget)[0]

    def _logits(self, alpha: Tensor, step: int, budget: float) -> tuple[Tensor, Tensor | None]:
        s = self.settings
        temperature = self.temperature_at(step)
        return STRATEGIES[s.strategy](alpha, self.parameters, budget, temperature, s.shift_gradient, self.choices)

    def budget_at(self, step: int) -> float:
        """The budget of the gates: at step 0 the whole space, after `budget_decay_steps` the budget itself."""
        steps = self.settings.budget_decay_steps
        if step >= steps:
            return self.budget
        return self.budget + (self._space - self.budget) * (1 - step / steps)

    def temperature_at(self, step: int) -> float:
        """The temperature: on a line from that of the first step to that of the last."""
        first, last = self.settings.temperature, self.settings.final_temperature
        if last is None:
            return first
        return first + (last - first) * min(1.0, step / max(1, self.total_steps - 1))

    def rates(self, step: int) -> tuple[float, float]:
        """The learning rates of weights and alphas at this 0-based step."""
        return learning_rates(self.settings, self.total_steps, step)

    def sample(self, logits: Tensor, u: Tensor) -> Tensor:
        """Gates for logit p (candidates) and uniform noise u (..., candidates)."""
        s = self.settings
        return sample(logits, u, s.gates == "hard", self.choices, s.stretch_low, s.stretch_high)

    @cached_property
    def _space(self) -> int:
        """How many parameters the whole space has."""
        return whole_space([p.candidate for p in self.model.placed])

    @cached_property
    def optimizer(self) -> Optimizer:
        """What moves the weights."""
        return optimizer_of(self.settings.optimizer, self.model.layout, self.model.device)


@dataclass(frozen=True)
class SearchState:
    """All that a search has learned: delta weights, alphas, and the optimisers' states; `step` steps are done."""

    step: int
    weights: Tensor
    weight_state: State
    alpha: Tensor
    alpha_moments: adamw.Moments


@dataclass(frozen=True)
class StepMetrics:
    """What one step showed, on the device: losses, gradient norms before clipping, parameters, shift.

    Without a second level there is no validation loss, and a search that learns no gates has none of their numbers;
    only the strategy `shift` has a shift.
    """

    train_loss: Tensor
    validation_loss: Tensor | None
    gradient_norm: Tensor
    alpha_gradient_norm: Tensor | None
    expected: Tensor | None
    sampled: Tensor | None
    shift: Tensor | None
    p: Tensor


def initial_state(problem: Problem, weights: Tensor) -> SearchState:
    """Before the first step: all alphas at zero, so that equal candidates are equally probable."""
    alpha = torch.zeros_like(problem.parameters, dtype=torch.float32)
    return SearchState(0, weights, problem.optimizer.initial(weights), alpha, adamw.initial(alpha))


def search_step(
    problem: Problem, state: SearchState, train: Batches, validation: Batches, noise: Noise
) -> tuple[SearchState, StepMetrics]:
    """Move the alphas once, then the weights once."""
    step = state.step
    lr = problem.rates(step)[0] * problem.scale

    alpha = state.alpha.detach().requires_grad_()
    logits, _ = problem.logits(alpha, step)
    z = problem.sample(logits, noise.outer)
    to_gates, validation_loss = outer_gradient(problem, state, z.detach(), train, validation, noise, lr)
    new_alpha, alpha_moments, alpha_norm = move_alphas(problem, state, alpha, logits, z, to_gates)

    new_logits, shift = problem.logits(new_alpha, step)
    z_weights = problem.sample(new_logits, noise.weights)
    passes = TrainPasses(problem.model, train, z_weights, noise.masks, (WEIGHTS,))
    loss, gradient, _ = passes.all_gradients(state.weights)
    weights, weight_state, norm = move_weights(problem, state, gradient)

    p = torch.sigmoid(new_logits)
    cost = problem.parameters.double()
    sampled = z[0].detach().double() @ cost
    metrics = StepMetrics(loss, validation_loss, norm, alpha_norm, p @ cost, sampled, shift, p)
    return SearchState(step + 1, weights, weight_state, new_alpha, alpha_moments), metrics


def one_level_step(
    problem: Problem, state: SearchState, train: Batches, noise: Noise
) -> tuple[SearchState, StepMetrics]:
    """Move alphas and weights once, both down the training loss of one pass."""
    alpha = state.alpha.detach().requires_grad_()
    logits, _ = problem.logits(alpha, state.step)
    z = problem.sample(logits, noise.weights)
    passes = TrainPasses(problem.model, train, z.detach(), noise.masks, (WEIGHTS,))
    loss, gradient, to_gates = passes.all_gradients(state.weights)
    new_alpha, alpha_moments, alpha_norm = move_alphas(problem, state, alpha, logits, z, to_gates)
    weights, weight_state, norm = move_weights(problem, state, gradient)

    new_logits, shift = problem.logits(new_alpha, state.step)
    p = torch.sigmoid(new_logits)
    cost = problem.parameters.double()
    sampled = z[0].detach().double() @ cost
    metrics = StepMetrics(loss, None, norm, alpha_norm, p @ cost, sampled, shift, p)
    return SearchState(state.step + 1, weights, weight_state, new_alpha, alpha_moments), metrics


def move_alphas(
    problem: Problem, state: SearchState, alpha: Tensor, logits: Tensor, z: Tensor, to_gates: Tensor
) -> tuple[Tensor, adamw.Moments, Tensor]:
    """The alphas after a step down d loss / d z (as z), their moments, and the norm of their gradient.

    `l0` adds its penalty to the loss here: its gradient does not depend on data, weights or noise.
    """
    s = problem.settings
    (gradient,) = torch.autograd.grad(z, alpha, to_gates, retain_graph=s.strategy == "l0")
    if s.strategy == "l0":
        penalty = l0_penalty(logits, s.stretch_low, s.stretch_high, s.gates == "hard")
        gradient = gradient + s.l0_lambda * torch.autograd.grad(penalty, alpha)[0]
    clipped, norm = adamw.clip(gradient, s.clip)
    return *adamw.update(state.alpha, clipped, state.alpha_moments, problem.rates(state.step)[1]), norm


def move_weights(problem: Problem, state: SearchState, gradient: Tensor) -> tuple[Tensor, State, Tensor]:
    """The weights after a step down their gradient, the optimiser's state, and the norm of the gradient."""
    settings = problem.settings
    clipped, norm = adamw.clip(gradient, settings.clip)
    lr = problem.rates(state.step)[0] * problem.scale
    return *problem.optimizer.update(state.weights, clipped, state.weight_state, lr, settings.weight_decay), norm


def outer_gradient(
    problem: Problem, state: SearchState, z: Tensor, train: Batches, validation: Batches, noise: Noise, lr: Scale
) -> tuple[Tensor, Tensor]:
    """d L_val(w'(z), z) / dz, as z, and L_val(w'(z), z): the outer gradient before it goes on to the alphas.

    `z`: (1, candidates), which all passes see, or (4, candidates), one row a pass. First order takes the weights not
    to follow the gates: w' = w, and no virtual step is needed. `lr` is one for all weights, or
    one for each.
    """
    settings, w, optimizer = problem.settings, state.weights, problem.optimizer
    outer = TrainPasses(problem.model, validation, z, noise.masks, (VALIDATION,))
    if settings.hypergradient == "first-order":
        return outer.gates_gradient(w)

    passes = TrainPasses(problem.model, train, z, noise.masks, (VIRTUAL, SECOND, THIRD))
    _, gradient, here = passes.all_gradients(w)
    step_gradient = adamw.clip(gradient, settings.clip)[0] if settings.clip_virtual else gradient
    virtual, _ = optimizer.update(w, step_gradient, state.weight_state, lr, settings.weight_decay)

    validation_loss, validation_gradient, direct = outer.all_gradients(virtual)

    direction = -lr * validation_gradient
    if settings.virtual_scaling == "exact":
        direction = optimizer.vjp(step_gradient, state.weight_state, lr, validation_gradient)
        if settings.clip_virtual:
            direction = adamw.clip_transpose(gradient, settings.clip, direction)
    correction = METHODS[settings.hypergradient](passes, w, direction, here)
    return direct + correction, validation_loss
