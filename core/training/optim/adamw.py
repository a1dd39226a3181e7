"""AdamW as a pure function, with the derivative of its step: what the virtual step needs.

    m' = b1 m + (1 - b1) g          v' = b2 v + (1 - b2) g^2
    w' = (1 - lr wd) w - lr m^ / (sqrt(v^) + eps),   m^ = m' / (1 - b1^t),   v^ = v' / (1 - b2^t)

Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization"; the numbers are those of torch.optim.AdamW.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Moments:
    """The state of AdamW: how many steps were made, and the two running means, shaped as the weights."""

    step: int
    mean: Tensor
    square: Tensor


def initial(weights: Tensor) -> Moments:
    """The state before the first step."""
    return Moments(0, torch.zeros_like(weights), torch.zeros_like(weights))


def update(
    weights: Tensor, gradient: Tensor, moments: Moments, lr: float | Tensor, weight_decay: float = 0.0
) -> tuple[Tensor, Moments]:
    """One step: the new weights and the new state. `lr` is a number, or one for each weight."""
    after = _advance(gradient, moments)
    mean, root = _corrected(after)
    return weights * (1 - lr * weight_decay) - lr * mean / (root + EPS), after


def derivative(gradient: Tensor, moments: Moments, lr: float | Tensor) -> Tensor:
    """The diagonal of d w' / d g at this gradient:

    -lr [ (1 - b1) / (1 - b1^t) / D  -  m^ (1 - b2) g / ((1 - b2^t) sqrt(v^) D^2) ],   D = sqrt(v^) + eps.
    """
    after = _advance(gradient, moments)
    mean, root = _corrected(after)
    denominator = root + EPS
    direct = (1 - BETA1) / (1 - BETA1**after.step) / denominator
    # Where v^ = 0 the gradient was always 0, and so is the numerator.
    through_root = (1 - BETA2) / (1 - BETA2**after.step) * gradient / root.clamp_min(1e-30)
    return -lr * (direct - mean * through_root / denominator**2)


def vjp(gradient: Tensor, moments: Moments, lr: float | Tensor, direction: Tensor) -> Tensor:
    """The vector-Jacobian product (d w' / d g)^T `direction`; the Jacobian is diagonal."""
    return derivative(gradient, moments, lr) * direction


def _advance(gradient: Tensor, moments: Moments) -> Moments:
    mean = moments.mean * BETA1 + gradient * (1 - BETA1)
    square = moments.square * BETA2 + gradient.square() * (1 - BETA2)
    return Moments(moments.step + 1, mean, square)


def _corrected(after: Moments) -> tuple[Tensor, Tensor]:
    """m^ and sqrt(v^)."""
    return after.mean / (1 - BETA1**after.step), (after.square / (1 - BETA2**after.step)).sqrt()


def clip(gradient: Tensor, largest: float) -> tuple[Tensor, Tensor]:
    """The gradient scaled down to the norm `largest` where it is longer, and its norm before (0-dim)."""
    norm = gradient.norm()
    return gradient * (largest / (norm + 1e-6)).clamp_max(1.0), norm


def clip_transpose(gradient: Tensor, largest: float, direction: Tensor) -> Tensor:
    """`direction` times the Jacobian of `clip`: c / |g| (d - g^ (g^ . d)) where it clips, d elsewhere."""
    norm = gradient.norm()
    unit = gradient / norm.clamp_min(1e-30)
    clipped = largest / (norm + 1e-6) * (direction - unit * (unit @ direction))
    return torch.where(norm + 1e-6 > largest, clipped, direction)


def linear_decay(step: int, total: int, warmup: float = 0) -> float:
    """The factor of the learning rate at 0-based `step`: up from 0 over `warmup` steps, then down to 0 at `total`.

    A `warmup` below 1 is a share of `total`, rounded up to whole steps.
    """
    warmup = math.ceil(warmup * total) if warmup < 1 else warmup
    if step < warmup:
        return step / warmup
    return max(0.0, (total - step) / max(1, total - warmup))
