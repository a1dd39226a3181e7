"""What a low-rank change of a frozen network could do: its best directions, from small sketches of gradients.

A change B A of what a module puts out, of something that it reads, x, has the gradient G = sum over tokens of g x^T, with
g the gradients to the module's output. Random matrices R (in, k) and L (l, out) keep of it

    Y = G R (out, k)  and  Z = L G (l, in),     from which     G ~ Q (L Q)^+ Z,  Q an orthonormal basis of Y,

exactly where G has a rank of at most k (Tropp et al. 2017, "Practical Sketching Algorithms for Low-Rank Matrix
Approximation", algorithm 4). Sums of gradients have the sums of their sketches. The mean of G^T G over batches is kept
as N = sum of G^T (G R), and is N (R^T N)^+ N^T in the same sense (Nystroem). A few rows x of every batch are kept too,
of tokens on which the loss depends: they say how far a step along a direction moves the output.
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

# Columns of R at least; twice the rank that is asked for, where that is more.
COLUMNS = 8
# Singular values under this share of the largest are rounding errors of sums in fp32.
LEAST = 1e-3
# Of the mean square along all directions, what is added to that along each: rows are few.
RIDGE = 0.01


@dataclass(frozen=True, order=True)
class Reading:
    """What a low-rank change of a module's output reads: the input of the module `entry`, or that output if empty."""

    module: str
    entry: str

    def __str__(self) -> str:
        return f"{self.module}<{self.entry}"


# What was read (tokens, in) and the gradients to the module's output (tokens, out), pass by pass.
Pairs = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Probe:
    """The random matrices R (in, k) and L (l, out) of one reading; L is the identity where that is no larger."""

    right: Tensor
    left: Tensor

    @classmethod
    def draw(cls, seed: int, name: str, shape: tuple[int, int], rank: int, device: torch.device) -> Probe:
        """Those for gradients of this name and shape (out, in), of which `rank` directions are asked for."""
        out, inputs = shape
        columns = min(max(COLUMNS, 2 * rank), out, inputs)
        rows = 2 * columns + 1
        right = torch.randn(inputs, columns, generator=generator(seed, "sketch", name, "right"))
        left = torch.randn(rows, out, generator=generator(seed, "sketch", name, "left")) if rows < out else None
        return cls(right.to(device), torch.eye(out, device=device) if left is None else left.to(device))

    def of_inputs(self, pairs: Pairs) -> Tensor:
        """Y = G R (out, k)."""
        return _total([g.t() @ (x @ self.right) for x, g in pairs], self.left.shape[1], self.right)

    def of_outputs(self, pairs: Pairs) -> Tensor:
        """Z = L G (l, in)."""
        return _total([(g @ self.left.t()).t() @ x for x, g in pairs], len(self.left), self.right.t())

    def gram(self, pairs: Pairs, y: Tensor) -> Tensor:
        """G^T Y (in, k), with Y = G R."""
        return _total([x.t() @ (g @ y) for x, g in pairs], len(self.right), self.right)

    def sample(self, pairs: Pairs, count: int, seed: int) -> Tensor:
        """`count` of the rows x (count, in) that a gradient reaches, drawn at random; zeros where there are not so many.

        A row that no gradient reaches is padding, or a token of which the loss reads nothing more.
        """
        if not pairs:
            return self.right.new_zeros(count, len(self.right))
        x, g = (torch.cat(parts) for parts in zip(*pairs, strict=True))
        reached = g.abs().amax(1) > 0
        draw = (torch.rand(len(x), generator=torch.Generator().manual_seed(seed)).to(x.device) + 1) * reached
        rows = draw.topk(min(count, len(x))).indices
        return nn.functional.pad(x[rows] * reached[rows, None], (0, 0, 0, count - len(rows)))

    def directions(self, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The singular values (k) of G, descending, and its left (out, k) and right (in, k) singular vectors; fp64.

        Vectors of values that are rounding errors are zero.
        """
        basis = torch.linalg.qr(y.double()).Q
        q, r = torch.linalg.qr(self.left.double() @ basis)  # of full rank
        core = torch.linalg.solve_triangular(r, q.t() @ z.double(), upper=True)
        squares, u = torch.linalg.eigh(core @ core.t())  # several times faster than the SVD of the wide matrix
        values, inverse = _roots(squares.flip(0))
        u = u.flip(1) * (values > 0)
        return values, basis @ u, core.t() @ u * inverse

    def squares(self, n: Tensor) -> tuple[Tensor, Tensor]:
        """The eigenvalues (k) of the sum of G^T G, descending, and its eigenvectors (in, k), from N; fp64."""
        n = n.double()
        inner = self.right.double().t() @ n
        values, vectors = torch.linalg.eigh((inner + inner.t()) / 2)
        half = n @ vectors * _roots(values)[1]
        squares, v = torch.linalg.eigh(half.t() @ half)
        roots, inverse = _roots(squares.flip(0))
        return roots.square(), half @ v.flip(1) * inverse


@dataclass(frozen=True)
class Balanced:
    """Directions along which a step of B moves the output equally far, the best first.

    `rows` are those of A (k, in): on the rows x at hand the numbers A x have a mean square of one, and are not correlated
    with each other. `size` (k) is |G a| for each, and `turn` (k, k) says how they are mixed: G A^T = U turn diag(size)
    where G = U diag(values) V^T.
    """

    rows: Tensor
    size: Tensor
    turn: Tensor

    @classmethod
    def of(cls, values: Tensor, right: Tensor, x: Tensor) -> Balanced:
        """Those with the largest |G a| among the combinations of the right singular vectors (in, k) of G.

        With C the mean of x x^T over the rows x (n, in), and the Cholesky factor T of V^T C V, these are the rows of
        Q^T T^-1 V^T, where diag(values) T^-T = turn diag(size) Q^T is a singular value decomposition.
        """
        read = x.double() @ right
        second = read.t() @ read / x.any(1).sum().clamp_min(1)
        ridge = RIDGE * second.diagonal().mean() + (values == 0)
        factor = torch.linalg.cholesky(second + torch.diag_embed(ridge.expand(len(second))))
        whitened = torch.linalg.solve_triangular(factor, torch.diag_embed(values), upper=False).t()
        turn, size, q = torch.linalg.svd(whitened)
        rows = q @ torch.linalg.solve_triangular(factor, right.t(), upper=False)
        return cls(rows, size, turn)


def _roots(squares: Tensor) -> tuple[Tensor, Tensor]:
    """The square roots and their inverses; both zero where they are rounding errors."""
    kept = squares > LEAST**2 * squares.max().clamp_min(1e-300)
    root = torch.where(kept, squares, 1.0).sqrt()
    return root * kept, kept / root


def _total(parts: Sequence[Tensor], rows: int, like: Tensor) -> Tensor:
    """The sum of matrices with so many rows, and as many columns as `like`; zero without any."""
    return torch.stack(list(parts)).sum(0) if parts else like.new_zeros(rows, like.shape[1])


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
