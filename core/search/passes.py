"""The forward and backward passes of a step, with the noise of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from core.model.gated import GatedModel
from core.run.spec import Dropout
from core.runtime import process_group
from core.tasks.randomness import generator, seed_for
from core.training.data import Batches, shares
from core.training.loss import loss_of

# The passes of a step, by which noise is handed out: the virtual step, the validation loss, the two that the second
# order may need, and the weight step.
VIRTUAL, VALIDATION, SECOND, THIRD, WEIGHTS = range(5)


@dataclass(frozen=True)
class Masks:
    """The dropout masks of a step: a seed for each of its passes, and how they are drawn from it."""

    seeds: Sequence[int]
    drawn: Dropout = "fast"


@dataclass(frozen=True)
class Noise:
    """The randomness of one step: uniforms of the outer step (1 or 4, candidates) and of the weight step (1,
    candidates), and the dropout masks of each pass."""

    outer: Tensor
    weights: Tensor
    masks: Masks

    @classmethod
    def draw(
        cls,
        seed: int,
        step: int,
        candidates: int,
        shared_gates: bool,
        shared_dropout: bool,
        device: torch.device,
        dropout: Dropout = "fast",
    ) -> Noise:
        """The noise of a step: a pure function of the seed and the step."""
        outer, weights = (
            torch.rand(rows, candidates, generator=generator(seed, "gates", step, which)).to(device)
            for which, rows in (("outer", 1 if shared_gates else WEIGHTS), ("weights", 1))
        )
        passes = (0, 0, 0, 0, 4) if shared_dropout else range(5)
        seeds = [seed_for(seed, "dropout", step, number) for number in passes]
        return cls(outer, weights, Masks(seeds, dropout))


class TrainPasses:
    """Forward and backward passes over the batches of a step; `numbers` says which pass of the step each one is.

    A pass sees its own row of the gates, or the only one, and its own dropout masks. Its loss is the mean over the
    examples of all batches, which go through the model one after the other, so that only one needs memory. Of several
    processes each has its part of every batch, and all get the sums.
    """

    def __init__(
        self, model: GatedModel, batches: Batches, gates: Tensor, masks: Masks, numbers: Sequence[int]
    ) -> None:
        self._model, self._batches, self._masks = model, batches, masks
        self._gates = gates.detach().requires_grad_()
        self._numbers = iter(numbers)
        self._shares = shares(batches)

    def all_gradients(self, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The loss, its gradient to the weights and to the gates."""
        weights = weights.detach().requires_grad_()

        def gradients(loss: Tensor) -> tuple[Tensor, ...]:
            return loss.detach(), *torch.autograd.grad(loss, (weights, self._gates))

        loss, to_weights, to_gates = self._pass(weights, gradients)
        return loss, to_weights, to_gates

    def weights_gradient(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """The loss, and its gradient to the weights alone."""
        weights = weights.detach().requires_grad_()

        def gradients(loss: Tensor) -> tuple[Tensor, ...]:
            return loss.detach(), *torch.autograd.grad(loss, weights)

        loss, to_weights = self._pass(weights, gradients)
        return loss, to_weights

    def gates_gradient(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """The gradient to the gates alone, and the loss."""

        def gradients(loss: Tensor) -> tuple[Tensor, ...]:
            return *torch.autograd.grad(loss, self._gates), loss.detach()

        to_gates, loss = self._pass(weights.detach(), gradients)
        return to_gates, loss

    def mixed_product(self, weights: Tensor, direction: Tensor) -> Tensor:
        """grad_z [ direction . grad_w L ]; fused attention has no second derivative, so the plain one is used."""
        weights = weights.detach().requires_grad_()

        def gradients(loss: Tensor) -> tuple[Tensor, ...]:
            (to_weights,) = torch.autograd.grad(loss, weights, create_graph=True)
            return torch.autograd.grad(to_weights @ direction, self._gates)

        with sdpa_kernel(SDPBackend.MATH):
            (product,) = self._pass(weights, gradients)
        return product

    def _pass(self, weights: Tensor, gradients: Callable[[Tensor], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        """The sum over the batches of what `gradients` makes of their shares of the loss.

        The weights stay bound for the backward pass, as layers that were checkpointed are computed again there.
        """
        number = next(self._numbers)
        gates = self._gates[min(number, len(self._gates) - 1)]
        totals: tuple[Tensor, ...] = ()
        for i, batch in enumerate(self._batches):
            # Dropout has no other source than the global generator.
            torch.manual_seed(process_group.seed(self._masks.seeds[number] ^ i))
            with self._model.bound(weights, gates) as backbone:
                parts = gradients(loss_of(backbone, batch, self._masks.drawn) * self._shares[i])
            totals = tuple(a + b for a, b in zip(totals, parts, strict=True)) if totals else parts
        return process_group.summed(totals)
