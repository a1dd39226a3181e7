"""Gradients to frozen weights, as small sketches: what their best low-rank directions are, without ever forming them.

The gradient of the loss to the weight (out, in) of a linear layer is G = sum over tokens of g x^T, with x the inputs of
the layer and g the gradients to its outputs. Random matrices R (in, k) and L (l, out) keep of it

    Y = G R (out, k)  and  Z = L G (l, in),     from which     G ~ Q (L Q)^+ Z,  Q an orthonormal basis of Y,

exactly where G has a rank of at most k (Tropp et al. 2017, "Practical Sketching Algorithms for Low-Rank Matrix
Approximation", algorithm 4). Sums of gradients have the sums of their sketches. The mean of G^T G over batches is kept
as N = sum of G^T (G R), and is N (R^T N)^+ N^T in the same sense (Nystroem).
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

# Columns of R; as many as the directions that are asked for, twice, where that is more.
COLUMNS = 32
# Eigenvalues under this share of the largest are rounding errors of sums in fp32.
LEAST = 1e-6

# The inputs (tokens, in) of a layer and the gradients to its outputs (tokens, out), pass by pass.
Pairs = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Probe:
    """The random matrices R (in, k) and L (l, out) of one layer; L is the identity where that is no larger."""

    right: Tensor
    left: Tensor

    @classmethod
    def draw(cls, seed: int, name: str, shape: tuple[int, int], rank: int, device: torch.device) -> Probe:
        """Those for a weight of this name and shape (out, in), of which `rank` directions are asked for."""
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

    def directions(self, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """The singular values (k) of G, descending, and its left singular vectors (out, k); fp64."""
        basis = torch.linalg.qr(y.double()).Q
        q, r = torch.linalg.qr(self.left.double() @ basis)  # of full rank
        core = torch.linalg.solve_triangular(r, q.t() @ z.double(), upper=True)
        squares, u = torch.linalg.eigh(core @ core.t())  # several times faster than the SVD of the wide matrix
        return squares.flip(0).clamp_min(0).sqrt(), basis @ u.flip(1)

    def squares(self, n: Tensor) -> Tensor:
        """The eigenvalues (k) of the sum of G^T G, descending, from N = sum of G^T G R; fp64."""
        n = n.double()
        inner = self.right.double().t() @ n
        values, vectors = torch.linalg.eigh((inner + inner.t()) / 2)
        kept = values > LEAST * values[-1].clamp_min(1e-300)
        root = torch.where(kept, values, 1.0).rsqrt() * kept
        found: Tensor = torch.linalg.svdvals(n @ vectors * root)
        return found.square()


def _total(parts: Sequence[Tensor], rows: int, like: Tensor) -> Tensor:
    """The sum of matrices with so many rows, and as many columns as `like`; zero without any."""
    return torch.stack(list(parts)).sum(0) if parts else like.new_zeros(rows, like.shape[1])


@contextmanager
def recorded(backbone: nn.Module, paths: Sequence[str]) -> Iterator[Mapping[str, Pairs]]:
    """A context that keeps, of the passes within it, the inputs of these modules and the gradients to their outputs.

    The outputs are those with all deltas. A pair is there once the backward pass has reached the module.
    """
    pairs: dict[str, Pairs] = {path: [] for path in paths}
    handles = [backbone.get_submodule(path).register_forward_hook(partial(_keep, pairs[path])) for path in paths]
    try:
        yield pairs
    finally:
        for handle in handles:
            handle.remove()


def _keep(pairs: Pairs, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
    """Add a pair when the gradient to the output is known; a pass without gradients has none."""
    if output.requires_grad:
        x = args[0].detach()
        output.register_hook(lambda g: pairs.append((_rows(x), _rows(g.detach()))))


def _rows(x: Tensor) -> Tensor:
    return x.flatten(0, -2).float()
