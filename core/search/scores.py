"""Saliency of candidates: what a first step of each would do to the loss, from gradients alone.

With the gradient g to the weights of a candidate and the multiple rho of the learning rate with which each of them
moves where steps are balanced (`core.model.deltas.balance`), the scores of a candidate are

    taylor = sum of rho |mean g|,        fisher = sum of rho^2 mean(g^2),        means over batches.

taylor times lr is the first-order decrease of the loss in the first step of AdamW, which moves every weight by rho lr.

What low-rank maps B A have in front of B, which starts at zero, has no gradient, and training can turn it anywhere. So
they are scored with the directions a_1, a_2 ... that they could have, at the length at which a step of B moves the
output by lr: the root of its mean square over real tokens and outputs is that of a step of a bias. With the gradient G
to B A of a batch,

    taylor = share / sqrt(r) sum of |mean G a_k|_1,       fisher = share^2 / r sum of mean |G a_k|^2,       k = 1..r,

where the numbers a_k x have a mean square of one and are not correlated (`core.search.sketch.balanced`).

Candidates with alternatives (several ranks or lengths in one place) share weights; a smaller one is scored by its part
of the largest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from core.model.deltas.balance import summed
from core.model.gated import GatedModel
from core.model.layout import HEAD
from core.model.pools import Pool, pools_of
from core.model.space import Placed
from core.search.sketch import Reading


class Parts:
    """The weights of each candidate but those of low-rank maps, as places in the vector of all weights, each with its
    factor rho."""

    def __init__(self, model: GatedModel) -> None:
        pools = {pool.owner: pool for pool in pools_of(model.placed)}
        places, owners, factors = [torch.zeros(0, dtype=torch.long)], [], []
        start = 0
        for slot in model.layout.slots:
            if slot.owner != HEAD:
                for number, size, factor in _shares(pools[slot.owner], slot.name):
                    places.append(torch.arange(start, start + size))
                    owners.append(torch.full((size,), number))
                    factors.append(torch.full((size,), factor, dtype=torch.float64))
            start += slot.size
        self._count, none = len(model.placed), torch.zeros(0)
        self._places, self._owners, self._factors = (
            torch.cat(parts).to(model.device) for parts in (places, [none.long(), *owners], [none.double(), *factors])
        )

    def taylor(self, mean: Tensor) -> Tensor:
        """The scores (candidates, fp64) from the mean gradient (weights), without those of low-rank maps."""
        return self._sums(self._factors * mean.double()[self._places].abs())

    def fisher(self, squares: Tensor) -> Tensor:
        """The scores (candidates, fp64) from the mean squared gradient (weights), without those of low-rank maps."""
        return self._sums(self._factors.square() * squares.double()[self._places])

    def _sums(self, values: Tensor) -> Tensor:
        return values.new_zeros(self._count).index_add(0, self._owners, values)


def _shares(pool: Pool, name: str) -> Iterator[tuple[int, int, float]]:
    """Of each candidate that uses this tensor: its number, how many elements it uses, and their factor.

    Gradients are those with the gate of the largest open, which has scaled them by its own constant.
    """
    for number, placed in zip(pool.numbers, pool.placed, strict=True):
        low_rank = placed.delta.low_rank_map()
        if low_rank is None or name != low_rank.up:
            weight = placed.delta.weights(placed.site)[name]
            scale = placed.delta.factor / pool.largest.delta.factor if weight.gated else 1.0
            yield number, math.prod(weight.shape), weight.rate * scale


@dataclass(frozen=True)
class Reach:
    """The low-rank map of a candidate: its number, what it reads, the shape (out, in) of that change, its rank, and the
    share of a balanced step that a step of B has. `start` names the tensor A, as in files, if that can be given."""

    number: int
    reading: Reading
    shape: tuple[int, int]
    rank: int
    share: float
    start: str

    @classmethod
    def all_of(cls, placed: Sequence[Placed]) -> list[Reach]:
        """Those of all candidates that have one."""
        return [reach for number, one in enumerate(placed) for reach in cls._of(number, one)]

    @classmethod
    def _of(cls, number: int, placed: Placed) -> Iterator[Reach]:
        low_rank, site = placed.delta.low_rank_map(), placed.site
        if low_rank is not None:
            sublayer = site.sublayer if low_rank.reads == "entry" else None
            entry, inputs = (sublayer.entry, sublayer.inputs) if sublayer else (site.module, site.inputs)
            if low_rank.reads == "output":
                entry, inputs = "", site.outputs
            start = f"{site.module}/{placed.candidate.delta}/{low_rank.down}" if low_rank.down else ""
            reading, shape = Reading(site.module, entry), (site.outputs, inputs)
            yield cls(number, reading, shape, low_rank.rank, low_rank.share, start)

    def taylor(self, moved: Tensor) -> Tensor:
        """The score from G A^T (out, k) of the mean gradient and balanced directions."""
        return self.share / math.sqrt(self.rank) * moved[:, : self.rank].abs().sum()

    def fisher(self, squares: Tensor) -> Tensor:
        """The score from the mean square (k) of |G a| over batches."""
        return self.share**2 / self.rank * squares[: self.rank].sum()

    def first(self, rows: Tensor) -> Tensor:
        """A (r, in) of balanced directions (k, in), with which a first step of B at its rate is a balanced step.

        The rate is made for elements of A x of size 1/sqrt(3) and for r^(3/4) as the size of a sum of r of them; that
        of numbers that are not correlated is sqrt(r), so that they may be larger.
        """
        return rows[: self.rank] * summed(self.rank) / math.sqrt(3 * self.rank)


def widest(reaches: Sequence[Reach]) -> Mapping[Reading, Reach]:
    """For each reading the one of the largest rank, which has the directions of all."""
    return {reach.reading: reach for reach in sorted(reaches, key=lambda reach: reach.rank)}


def opened(model: GatedModel) -> Tensor:
    """The gates (candidates) under which gradients are taken: all are open, of alternatives the largest one."""
    gates = torch.zeros(len(model.placed), device=model.device)
    gates[[pool.owner for pool in pools_of(model.placed)]] = 1.0
    return gates
