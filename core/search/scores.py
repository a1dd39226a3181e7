"""Saliency of candidates: what a first step of each would do to the loss, from gradients alone.

With the gradient g to the weights of a candidate and the multiple rho of the learning rate with which each of them
moves where steps are balanced (`core.model.deltas.balance`), the scores of a candidate are

    taylor = sum of rho |mean g|,        fisher = sum of rho^2 mean(g^2),        means over batches.

taylor times lr is the first-order decrease of the loss in the first step of AdamW, which moves every weight by rho lr.

A LoRA starts with B = 0 and a random A, which has no gradient, and which training can turn anywhere. So it is scored
with the rows of A in the best directions that they can have, at the size a of the rows at its start. With the
singular values s_1 >= s_2 ... of the mean gradient G to the weight of its layer, the left singular vectors u, and the
eigenvalues e_1 >= e_2 ... of the mean of G^T G over batches,

    taylor = c sum of s_k |u_k|_1,       fisher = c^2 sum of e_k,       k = 1..r,       c = rho (alpha / r) a.

Candidates with alternatives (several ranks or lengths in one place) share weights; a smaller one is scored by its part
of the largest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from core.model.deltas.lora import LoRA
from core.model.gated import GatedModel
from core.model.layout import HEAD
from core.model.pools import Pool, pools_of
from core.model.site import Site
from core.model.space import Placed

# The norm of a row of A at its start: of `in` elements uniform in +-1/sqrt(in).
ROW = 1 / math.sqrt(3)


class Parts:
    """The weights of each candidate but LoRAs, as places in the vector of all weights, each with its factor rho."""

    def __init__(self, model: GatedModel) -> None:
        pools = {pool.owner: pool for pool in pools_of(model.placed)}
        places, owners, factors = [torch.zeros(0, dtype=torch.long)], [], []
        start = 0
        for slot in model.layout.slots:
            if slot.owner != HEAD:
                for number, size, factor in _shares(pools[slot.owner], slot.name):
                    places.append(torch.arange(start, start + size))
                    owners += [number] * size
                    factors += [factor] * size
            start += slot.size
        self._count = len(model.placed)
        self._places, self._owners = (
            torch.cat(places).to(model.device),
            torch.tensor(owners, device=model.device).long(),
        )
        self._factors = torch.tensor(factors, dtype=torch.float64, device=model.device)

    def taylor(self, mean: Tensor) -> Tensor:
        """The scores (candidates, fp64) from the mean gradient (weights); 0 for a LoRA."""
        return self._sums(self._factors * mean.double()[self._places].abs())

    def fisher(self, squares: Tensor) -> Tensor:
        """The scores (candidates, fp64) from the mean squared gradient (weights); 0 for a LoRA."""
        return self._sums(self._factors.square() * squares.double()[self._places])

    def _sums(self, values: Tensor) -> Tensor:
        return values.new_zeros(self._count).index_add(0, self._owners, values)


def _shares(pool: Pool, name: str) -> Iterator[tuple[int, int, float]]:
    """Of each candidate that uses this tensor: its number, how many elements it uses, and their factor.

    Gradients are those with the gate of the largest open, which has scaled them by its own constant.
    """
    for number, placed in zip(pool.numbers, pool.placed, strict=True):
        if not isinstance(placed.delta, LoRA):
            weight = placed.delta.weights(placed.site)[name]
            scale = placed.delta.factor / pool.largest.delta.factor if weight.gated else 1.0
            yield number, math.prod(weight.shape), weight.rate * scale


def _c(lora: LoRA, site: Site) -> float:
    return lora.weights(site)["lora_B"].rate * lora.factor * ROW


@dataclass(frozen=True)
class Direction:
    """A LoRA among the candidates: its number, the module that it stands at and the shape of its weight, its rank,
    and c."""

    number: int
    module: str
    shape: tuple[int, int]
    rank: int
    factor: float

    @classmethod
    def all_of(cls, placed: Sequence[Placed]) -> list[Direction]:
        """All LoRAs."""
        return [
            cls(i, p.site.module, (p.site.outputs, p.site.inputs), p.delta.rank, _c(p.delta, p.site))
            for i, p in enumerate(placed)
            if isinstance(p.delta, LoRA)
        ]

    def taylor(self, values: Tensor, left: Tensor) -> Tensor:
        """The score from the singular values (k) of the mean gradient and its left singular vectors (out, k)."""
        return self.factor * (values * left.abs().sum(0))[: self.rank].sum()

    def fisher(self, values: Tensor) -> Tensor:
        """The score from the eigenvalues (k) of the mean of G^T G."""
        return self.factor**2 * values[: self.rank].sum()


def opened(model: GatedModel) -> Tensor:
    """The gates (candidates) under which gradients are taken: all are open, of alternatives the largest one."""
    gates = torch.zeros(len(model.placed), device=model.device)
    gates[[pool.owner for pool in pools_of(model.placed)]] = 1.0
    return gates
