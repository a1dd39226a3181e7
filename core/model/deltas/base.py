"""What every delta states: where it fits, its weights, and its effect on a module."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from core.model.sites import Site

Init = Callable[[tuple[int, ...], torch.Generator], Tensor]


@dataclass(frozen=True)
class Weight:
    """One tensor of a delta: its shape, how it starts, and whether the gate scales it.

    `original` is how the paper's code starts it, where that differs (its adapters start at random).
    """

    shape: tuple[int, ...]
    init: Init
    gated: bool = False
    original: Init | None = None


@dataclass(frozen=True)
class Effect:
    """What the weights of one delta do to the output of a module f, given x and h = f(x) + parallel deltas.

    `low_rank` = (A: (r, in), B: (out, r)) adds B A x; `scale` (out) is added to a normalisation's weight; `bias` (out)
    is added to the output; `residual` maps h to what is added to it. The first two are parallel, the others sequential.
    """

    low_rank: tuple[Tensor, Tensor] | None = None
    scale: Tensor | None = None
    bias: Tensor | None = None
    residual: Callable[[Tensor], Tensor] | None = None


class Delta(Protocol):
    """A kind of delta with its arguments."""

    def fits(self, site: Site) -> bool:
        """Whether the delta can stand at the site."""

    def weights(self, site: Site) -> dict[str, Weight]:
        """The tensors it trains there; their sizes add up to the parameters that a budget counts."""

    @property
    def factor(self) -> float:
        """The constant that scales its output, beside the gate."""

    def effect(self, tensors: Mapping[str, Tensor]) -> Effect:
        """What it does with these tensors (the gated ones already scaled by gate and factor)."""


def zeros(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """All zero."""
    return torch.zeros(shape)


def normal(std: float) -> Init:
    """Normal around zero with this standard deviation."""
    return lambda shape, generator: torch.randn(shape, generator=generator) * std


def uniform(bound: float) -> Init:
    """Uniform in [-bound, bound]."""
    return lambda shape, generator: (torch.rand(shape, generator=generator) * 2 - 1) * bound


def glorot(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Uniform with variance 2 / (fan in + fan out) (Glorot and Bengio 2010)."""
    return uniform(math.sqrt(6.0 / sum(shape)))(shape, generator)


def parameters(delta: Delta, site: Site) -> int:
    """How many parameters the delta trains at the site."""
    return sum(math.prod(w.shape) for w in delta.weights(site).values())
