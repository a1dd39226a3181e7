"""The gradient of the validation loss with respect to the gates, seen through one step of the weights.

With the virtual weights w'(z) = step(w, g(z)) of the optimiser and g(z) = grad_w L_train(w, z), the chain rule gives

    d L_val(w'(z), z) / dz = grad_z L_val(w', z) + grad_z [ d . grad_w L_train(w, z) ],
    d = (d w' / d g)^T grad_w L_val(w', z),

the DARTS hypergradient (Liu et al. 2019, equation 7) for the step that is really taken. The
second term is a mixed second derivative along d, for which there are three ways, see `METHODS`. First order leaves it
out, and takes w' = w.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

# The perturbed weights are this far from w, as in DARTS.
RADIUS = 0.01


class Passes(Protocol):
    """The forward and backward passes of one outer step; each has its row of the gates, or all have the only one."""

    def gates_gradient(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """grad_z L_train at these weights (rows, candidates), and the loss there."""

    def mixed_product(self, weights: Tensor, direction: Tensor) -> Tensor:
        """grad_z [ direction . grad_w L_train ] at these weights (rows, candidates), by differentiating twice."""


# From the passes, w, d and grad_z L_train(w), which the virtual step has found already.
Method = Callable[[Passes, Tensor, Tensor, Tensor], Tensor]


def central_difference(passes: Passes, weights: Tensor, direction: Tensor, here: Tensor) -> Tensor:
    """(grad_z L(w + e d) - grad_z L(w - e d)) / 2e with e = 0.01 / |d|: two passes, error of order e^2."""
    epsilon = _epsilon(direction)
    above = passes.gates_gradient(weights + epsilon * direction)[0]
    below = passes.gates_gradient(weights - epsilon * direction)[0]
    return (above - below) / (2 * epsilon)


def forward_difference(passes: Passes, weights: Tensor, direction: Tensor, here: Tensor) -> Tensor:
    """(grad_z L(w + e d) - grad_z L(w)) / e: one pass, as the virtual step knows grad_z L(w); error of order e."""
    epsilon = _epsilon(direction)
    above = passes.gates_gradient(weights + epsilon * direction)[0]
    return (above - here) / epsilon


def exact(passes: Passes, weights: Tensor, direction: Tensor, here: Tensor) -> Tensor:
    """The product itself, by differentiating the gradient once more."""
    return passes.mixed_product(weights, direction)


METHODS: dict[str, Method] = {
    "central-difference": central_difference,
    "forward-difference": forward_difference,
    "exact": exact,
}


def _epsilon(direction: Tensor) -> Tensor:
    epsilon: Tensor = RADIUS / direction.norm().clamp_min(1e-20)
    return epsilon
