"""Adafactor as a pure function of all weights in one vector, with the transpose of its step's derivative.

Of a matrix with gradient G, running means of G^2 are kept for rows and columns alone; of a vector, of each element:

    R' = b R + (1 - b) mean_columns(G^2 + e)      C' = b C + (1 - b) mean_rows(G^2 + e)       b = 1 - t^-0.8
    U = G / sqrt(R' C' / mean(R'))                w' = (1 - lr wd) w - lr U / max(1, rms(U))

Shazeer and Stern 2018, "Adafactor", algorithm 4, without relative step sizes and without scaling by the size of the
parameters, as T5 is fine-tuned: deltas start at zero, where that scaling would hold them. The numbers are those of
transformers.optimization.Adafactor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

DECAY, EPS = -0.8, 1e-30


@dataclass(frozen=True)
class Factored:
    """The state of Adafactor: how many steps were made, and its running means, those of all tensors in one vector."""

    step: int
    rows: Tensor
    columns: Tensor
    elements: Tensor


class Adafactor:
    """Adafactor for tensors of these shapes, which lie one after the other in the vector of weights.

    Tensors of equal shape are worked on together, so that the number of operations does not grow with the candidates.
    """

    def __init__(self, shapes: Sequence[tuple[int, ...]], device: torch.device) -> None:
        places: dict[tuple[int, ...], list[Tensor]] = {}
        start = 0
        for shape in shapes:
            places.setdefault(shape, []).append(torch.arange(start, start + math.prod(shape)))
            start += math.prod(shape)
        self._groups = [(shape, torch.stack(indices).to(device)) for shape, indices in places.items()]
        order = [indices.flatten() for _, indices in self._groups]
        self._back = torch.argsort(torch.cat(order)) if order else torch.zeros(0, dtype=torch.long, device=device)

    def initial(self, weights: Tensor) -> Factored:
        """The state before the first step."""
        sizes = [0, 0, 0]
        for shape, indices in self._groups:
            for i, size in enumerate(_state_sizes(shape, len(indices))):
                sizes[i] += size
        return Factored(0, *(weights.new_zeros(size) for size in sizes))

    def update(
        self, weights: Tensor, gradient: Tensor, state: Factored, lr: float | Tensor, weight_decay: float = 0.0
    ) -> tuple[Tensor, Factored]:
        """One step: the new weights and the new state. `lr` is a number, or one for each weight."""
        change, after = self._direction(gradient, state)
        return weights * (1 - lr * weight_decay) - lr * change, after

    def vjp(self, gradient: Tensor, state: Factored, lr: float | Tensor, direction: Tensor) -> Tensor:
        """The vector-Jacobian product (d w' / d g)^T `direction`, in float64, as the step is steep at small gradients.

        Zero where the gradient is exactly zero: that is so where the weight has no part in the loss yet (as the first
        factor of a LoRA whose second is zero), whatever the gates, and the slope there, 1e15, would drown the rest.
        """
        double = Factored(state.step, state.rows.double(), state.columns.double(), state.elements.double())
        with torch.enable_grad():
            variable = gradient.detach().double().requires_grad_()
            change, _ = self._direction(variable, double)
            (pulled,) = torch.autograd.grad(change, variable, -lr * direction.double())
        return torch.where(gradient == 0, 0.0, pulled).to(direction.dtype)

    def _direction(self, gradient: Tensor, state: Factored) -> tuple[Tensor, Factored]:
        """U / max(1, rms(U)) as a vector, and the state after it."""
        step = state.step + 1
        keep = 1.0 - step**DECAY
        places = [0, 0, 0]
        changes, means = [], ([], [], [])  # type: tuple[list[Tensor], tuple[list[Tensor], list[Tensor], list[Tensor]]]
        for shape, indices in self._groups:
            old = []
            for i, size in enumerate(_state_sizes(shape, len(indices))):
                old.append((state.rows, state.columns, state.elements)[i][places[i] : places[i] + size])
                places[i] += size
            change, new = _group_direction(gradient[indices].view(-1, *shape), old, keep)
            changes.append(change.flatten())
            for collected, mean in zip(means, new, strict=True):
                collected.append(mean.flatten())
        vector = torch.cat(changes)[self._back] if changes else gradient
        return vector, Factored(step, *(torch.cat(m) if m else gradient.new_zeros(0) for m in means))


def _state_sizes(shape: tuple[int, ...], count: int) -> tuple[int, int, int]:
    """How many means of rows, columns and elements `count` tensors of this shape have."""
    size = count * math.prod(shape)
    return (0, 0, size) if len(shape) < 2 else (size // shape[-1], size // shape[-2], 0)


def _group_direction(g: Tensor, old: Sequence[Tensor], keep: float) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
    """U / max(1, rms(U)) of tensors of one shape (tensors, *shape), and their new means."""
    square = g.square() + EPS
    nothing = g.new_zeros(0)
    if g.ndim > 2:
        rows = old[0].view(g.shape[:-1]) * keep + square.mean(-1) * (1 - keep)
        columns = old[1].view(*g.shape[:-2], g.shape[-1]) * keep + square.mean(-2) * (1 - keep)
        inverse = (rows / rows.mean(-1, keepdim=True)).rsqrt()[..., None] * columns.rsqrt()[..., None, :]
        means = (rows, columns, nothing)
    else:
        elements = old[2].view(g.shape) * keep + square * (1 - keep)
        inverse = elements.rsqrt()
        means = (nothing, nothing, elements)
    u = g * inverse
    flat = u.flatten(1)
    rms = flat.norm(dim=1) / math.sqrt(flat.shape[1])
    return u / rms.clamp_min(1.0).view(-1, *[1] * (g.ndim - 1)), means
