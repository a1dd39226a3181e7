"""Compacter: an adapter whose two projections are sums of Kronecker products."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from core.model.deltas.balance import KEPT, glorot_rms, relative, summed
from core.model.deltas.base import Effect, Standalone, Weight, glorot, normal, zeros
from core.model.site import Site

STD = 0.01


@dataclass(frozen=True)
class Compacter(Standalone):
    """y = h + z (U relu(D h + d) + u), with D = sum_i A_i (x) S_i T_i over i = 1..n, and U in the same way.

    A_i: (n, n); of D: S_i: (m / n, k), T_i: (k, out / n); of U: S_i: (out / n, k), T_i: (k, m / n). n = division, k =
    rank, m = out / reduction, rounded down to a multiple of n, n at least; out must be a multiple of n.
    2 n^3 + 2 k (out + m) + m + out parameters. A starts normal (std 0.01), S and T Glorot-uniform, but S of U and the
    biases at zero; the paper's code starts S of U Glorot-uniform too. Karimi Mahabadi et al. 2021, "Compacter:
    Efficient Low-Rank Hypercomplex Adapter Layers", section 3; as in the code of the S3 paper each has an A of its own.

    Balanced steps: elements of D h have the size s = 0.01 sqrt(n k out 2 / (m / n + k) 2 / (k + out / n)), of which
    relu keeps half, and what S of U multiplies has the size t = s / 2 0.01 sqrt(2 m / (k + m / n)). S of U has the
    rate 1 / (2 t (n k)^(3/4)), u a half, A 0.1, the others 10 sqrt(2 / (rows + columns)).
    """

    reduction: int
    division: int
    rank: int
    factor: float = 1.0

    def fits(self, site: Site) -> bool:
        """At sub-layers and linear layers whose width is a multiple of n."""
        return site.kind in ("linear", "block") and site.outputs % self.division == 0

    def weights(self, site: Site) -> dict[str, Weight]:
        """For each projection its A, S, T and bias."""
        n, k, d = self.division, self.rank, site.outputs
        m = max(1, d // self.reduction // n) * n
        inner = KEPT * STD * math.sqrt(d * n * k) * glorot_rms(m // n, k) * glorot_rms(k, d // n)
        thin = inner * STD * math.sqrt(m) * glorot_rms(k, m // n)
        return {
            "down.rule": Weight((n, n, n), normal(STD), rate=relative(STD)),
            "down.left": Weight((n, m // n, k), _glorot_each, rate=relative(glorot_rms(m // n, k))),
            "down.right": Weight((n, k, d // n), _glorot_each, rate=relative(glorot_rms(k, d // n))),
            "down.bias": Weight((m,), zeros),
            "up.rule": Weight((n, n, n), normal(STD), rate=relative(STD)),
            "up.left": Weight((n, d // n, k), zeros, True, _glorot_each, rate=0.5 / (summed(n * k) * thin)),
            "up.right": Weight((n, k, m // n), _glorot_each, rate=relative(glorot_rms(k, m // n))),
            "up.bias": Weight((d,), zeros, gated=True, rate=0.5),
        }

    def effect(self, tensors: Mapping[str, Tensor]) -> Effect:
        """The bottleneck as a function of h; its two matrices are formed once."""
        down, up = (_kronecker(*(tensors[f"{x}.{k}"] for k in ("rule", "left", "right"))) for x in ("down", "up"))
        d, u = tensors["down.bias"], tensors["up.bias"]
        return Effect(residual=lambda h: F.linear(F.relu(F.linear(h, down, d)), up, u))


def _kronecker(rule: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """sum_i rule_i (x) left_i right_i: (n p, n q) of rule (n, n, n), left (n, p, k) and right (n, k, q)."""
    n, p, q = len(rule), left.shape[1], right.shape[2]
    return torch.einsum("iab,ipk,ikq->apbq", rule, left, right).reshape(n * p, n * q)


def _glorot_each(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Each matrix of a stack Glorot-uniform."""
    return torch.stack([glorot(shape[1:], generator) for _ in range(shape[0])])
