"""The best directions of low-rank changes of a frozen network, from small sums over gradients.

A change B A of what a module puts out, of something that it reads, x, has the gradient G = sum over tokens of g x^T,
with g the gradients to the module's output. G is never formed. Some batches give L G with a random L (k, out), whose
rows span most of what G reads (Halko et al. 2011, "Finding Structure with Randomness", section 4.1); V (in, k) is an
orthonormal basis of them. Further batches give G V and V^T C V, where C is the sum of x x^T, exactly. So what is found
within V is measured on batches that have not chosen V.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from core.tasks.randomness import generator

# Columns of V at least; twice the rank that is asked for, where that is more.
COLUMNS = 16
# Of the mean square along all columns of V, what is added to that along each.
RIDGE = 0.001


@dataclass(frozen=True, order=True)
class Reading:
    """What a low-rank change of a module's output reads: the input of the module `entry`, or that output if empty."""

    module: str
    entry: str

    def __str__(self) -> str:
        return f"{self.module}<{self.entry}"


# What was read (tokens, in) and the gradients to the module's output (tokens, out), pass by pass.
Pairs = list[tuple[Tensor, Tensor]]


def probe(seed: int, reading: Reading, shape: tuple[int, int], rank: int) -> Tensor:
    """L (k, out) for gradients of this shape (out, in), of which `rank` directions are asked for."""
    columns = min(max(COLUMNS, 2 * rank), *shape)
    return torch.randn(columns, shape[0], generator=generator(seed, "probe", str(reading)))


def probed(left: Tensor, inputs: int, pairs: Pairs) -> Tensor:
    """L G (k, in)."""
    return _total([(g @ left.t()).t() @ x for x, g in pairs], left.new_zeros(len(left), inputs))


def basis(found: Tensor) -> Tensor:
    """V (in, k), an orthonormal basis of the rows of L G (k, in)."""
    q: Tensor = torch.linalg.qr(found.double().t()).Q
    return q.float()


@dataclass(frozen=True)
class Moments:
    """Sums of a batch within V: `moved` (out, k) is G V, `second` (k, k) that of V^T x x^T V over `tokens` tokens.

    These are the tokens that a gradient reaches: no padding, and none of which the loss reads nothing more.
    """

    moved: Tensor
    second: Tensor
    tokens: Tensor

    @classmethod
    def of(cls, v: Tensor, outputs: int, pairs: Pairs) -> Moments:
        """Those of the pairs of a batch."""
        k = v.shape[1]
        read = [(x @ v, g, (g != 0).any(1, keepdim=True)) for x, g in pairs]
        return cls(
            _total([g.t() @ xv for xv, g, _ in read], v.new_zeros(outputs, k)),
            _total([(xv * reached).t() @ xv for xv, _, reached in read], v.new_zeros(k, k)),
            _total([reached.sum().float() for _, _, reached in read], v.new_zeros(())),
        )


def balanced(squares: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Directions a along which a step of B moves the output equally far, those first along which |G a| is largest.

    `squares` (k, k) is V^T G^T G V, or its mean over batches, and `second` (k, k) the mean of V^T x x^T V over tokens,
    with the Cholesky factor T. The first tensor (k, k) has in its columns c the coordinates a = V c: over the tokens,
    the numbers a x have a mean square of one and are not correlated. They are T^-T Q, with the eigenvectors Q of
    T^-1 squares T^-T; the second tensor (k) holds the eigenvalues, |G a|^2. Both are fp64.
    """
    second = second.double()
    ridge = RIDGE * second.diagonal().mean() + torch.finfo(torch.float32).tiny
    factor = torch.linalg.cholesky(second + ridge * torch.eye(len(second), dtype=second.dtype, device=second.device))
    half = torch.linalg.solve_triangular(factor, squares.double(), upper=False)
    whitened = torch.linalg.solve_triangular(factor, half.t(), upper=False)
    sizes, q = torch.linalg.eigh((whitened + whitened.t()) / 2)
    return torch.linalg.solve_triangular(factor.t(), q.flip(1), upper=True), sizes.flip(0).clamp_min(0)


def _total(parts: Sequence[Tensor], start: Tensor) -> Tensor:
    """The sum of the parts, from a zero of their shape."""
    return torch.stack([start, *parts]).sum(0)


@contextmanager
def recorded(backbone: nn.Module, readings: Sequence[Reading]) -> Iterator[Mapping[Reading, Pairs]]:
    """A context that keeps, of the passes within it, what these read and the gradients to the outputs.

    The outputs are those with all deltas. A pair is there once the backward pass has reached the module.
    """
    pairs: dict[Reading, Pairs] = {reading: [] for reading in readings}
    entered: dict[str, Tensor] = {}
    handles = []
    for entry in sorted({reading.entry for reading in readings if reading.entry}):
        handles.append(backbone.get_submodule(entry).register_forward_pre_hook(partial(_enter, entered, entry)))
    for path in sorted({reading.module for reading in readings}):
        own = {reading.entry: pairs[reading] for reading in readings if reading.module == path}
        handles.append(backbone.get_submodule(path).register_forward_hook(partial(_keep, own, entered)))
    try:
        yield pairs
    finally:
        for handle in handles:
            handle.remove()


def _enter(entered: dict[str, Tensor], path: str, module: nn.Module, args: tuple[Any, ...]) -> None:
    entered[path] = args[0].detach()


def _keep(
    own: Mapping[str, Pairs], entered: Mapping[str, Tensor], module: nn.Module, args: tuple[Any, ...], output: Any
) -> None:
    """Add a pair to each list when the gradient to the output is known; a pass without gradients has none."""
    h: Tensor = output[0] if isinstance(output, tuple) else output
    if h.requires_grad:
        read = {entry: entered[entry] if entry else h.detach() for entry in own}

        def add(g: Tensor) -> None:
            for entry, x in read.items():
                own[entry].append((_rows(x), _rows(g.detach())))

        h.register_hook(add)  # type: ignore[no-untyped-call]


def _rows(x: Tensor) -> Tensor:
    return x.flatten(0, -2).float()
