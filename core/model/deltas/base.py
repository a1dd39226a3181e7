"""What every delta states: where it fits, its weights, and its effect on a module."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import torch
from torch import Tensor

from core.model.site import Site

Init = Callable[[tuple[int, ...], torch.Generator], Tensor]


@dataclass(frozen=True)
class Weight:
    """One tensor of a delta: its shape, how it starts, and whether the gate scales it.

    `original` is how the paper's code starts it, where that differs (its adapters start at random). `rate` is the
    multiple of the learning rate with which it moves where steps are balanced (`core.model.deltas.balance`).
    """

    shape: tuple[int, ...]
    init: Init
    gated: bool = False
    original: Init | None = None
    rate: float = 1.0


@dataclass(frozen=True)
class Rows:
    """Vectors (n, width) that stand before those of the text, with a gate (n) for each.

    `values` belong to `keys` of an attention; a soft prompt has keys alone.
    """

    keys: Tensor
    gates: Tensor
    values: Tensor | None = None


@dataclass(frozen=True)
class Effect:
    """What the weights of one delta do to the output of a module f, given x and h = f(x) + parallel deltas.

    `low_rank` = (A: (r, in), B: (out, r)) adds B A x; `parallel` maps what the module or its sub-layer reads to what is
    added; `scale` (out) is added to a normalisation's weight; `input_scale` (in) is the change of a factor on the
    features of x, `output_scale` (out) that of a factor on those of h; `bias` (out) is added to the output; `residual`
    maps h to what is added to it. `output_scale`, `bias` and `residual` are sequential, the others act within h. `rows`
    stand before what an attention or a stack reads.

    What is `low_rank`, `scale`, `input_scale`, `output_scale` or `bias` is a change of weights: it can be merged into
    them, and PEFT has a place for some of it. Functions and rows can be neither.
    """

    low_rank: tuple[Tensor, Tensor] | None = None
    parallel: Callable[[Tensor], Tensor] | None = None
    scale: Tensor | None = None
    input_scale: Tensor | None = None
    output_scale: Tensor | None = None
    bias: Tensor | None = None
    residual: Callable[[Tensor], Tensor] | None = None
    rows: Rows | None = None

    @property
    def sequential(self) -> list[Callable[[Tensor], Tensor]]:
        """What is added to h as a function of it."""
        change = self.output_scale
        scaled: list[Callable[[Tensor], Tensor]] = [] if change is None else [lambda h: h * change]
        return scaled if self.residual is None else [*scaled, self.residual]


@dataclass(frozen=True)
class LowRankMap:
    """The low-rank map B A of a delta, of which A can turn anywhere during training; its slope where it is not linear.

    `rank` is that of the map. It reads what the module reads ("input"), what its sub-layer reads ("entry"), or what the
    module puts out ("output"). `up` is the tensor B, which starts at zero. `share` is the part that a step of B has of
    a balanced step of the delta. `down` is the tensor that is A itself, with rows that can be given directions; empty
    if A consists of several tensors or stands before a non-linearity.
    """

    rank: int
    reads: Literal["input", "entry", "output"]
    up: str
    share: float = 1.0
    down: str = ""


class Delta(Protocol):
    """A kind of delta with its arguments."""

    # How a smaller one lies in a larger one: for each tensor the axis along which it is the first part. What is not
    # named is the same in both.
    axes: ClassVar[Mapping[str, int]]
    # Whether a sum of gated smaller ones is one larger one with a gate for each index of that axis.
    folds: ClassVar[bool]
    # What it acts on; a module computes with gated weights, the others take the gates themselves (tensor "gates").
    acts_on: ClassVar[Literal["module", "attention", "stack"]]

    def fits(self, site: Site) -> bool:
        """Whether the delta can stand at the site."""

    def weights(self, site: Site) -> dict[str, Weight]:
        """The tensors it trains there; their sizes add up to the parameters that a budget counts."""

    @property
    def factor(self) -> float:
        """The constant that scales its output, beside the gate."""

    def effect(self, tensors: Mapping[str, Tensor]) -> Effect:
        """What it does with these tensors (the gated ones already scaled by gate and factor)."""

    def low_rank_map(self) -> LowRankMap | None:
        """Its low-rank map; None if it has none, or one whose directions are not free."""


class Standalone:
    """A delta that acts on a module, has no smaller one inside it, and no free low-rank map."""

    axes: ClassVar[Mapping[str, int]] = {}
    folds: ClassVar[bool] = False
    acts_on: ClassVar[Literal["module", "attention", "stack"]] = "module"

    def low_rank_map(self) -> LowRankMap | None:
        """None."""
        return None


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
