"""Candidates that share their weights: the alternatives of a choice, of which the smaller are parts of the largest."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from core.model.deltas.base import Effect, Weight
from core.model.layout import Slot
from core.model.space import Placed
from core.run.structure import choices_of


@dataclass(frozen=True)
class Pool:
    """A candidate, or the alternatives of one choice in ascending size, with the numbers by which gates know them.

    The weights are those of the largest; an alternative is their first part along the axes that its delta names.
    """

    numbers: tuple[int, ...]
    placed: tuple[Placed, ...]

    @property
    def largest(self) -> Placed:
        """The candidate that the others are parts of."""
        return self.placed[-1]

    @property
    def owner(self) -> int:
        """The number of the largest."""
        return self.numbers[-1]

    @property
    def name(self) -> str:
        """How its tensors are called in files: `<module>/<delta>`."""
        candidate = self.largest.candidate
        return f"{candidate.module}/{candidate.choice if len(self.numbers) > 1 else candidate.delta}"

    @property
    def weights(self) -> dict[str, Weight]:
        """The tensors that it trains."""
        return self.largest.delta.weights(self.largest.site)

    def slots(self) -> list[Slot]:
        """Where its tensors lie, and which gates scale them."""
        axes = self.largest.delta.axes if len(self.numbers) > 1 else {}
        return [
            Slot(self.owner, name, w.shape, self._pieces(name, w), axes.get(name, 0))
            for name, w in self.weights.items()
        ]

    def rates(self, slot: Slot) -> list[float]:
        """The multiples of the learning rate of a tensor: one for all of it, or one for each index that is shared.

        An index has the rate of the smallest alternative that reaches it, which without the larger ones is balanced.
        """
        own = [p.delta.weights(p.site)[slot.name] for p in self.placed]
        if len(own) == 1 or slot.name not in self.largest.delta.axes:
            return [own[-1].rate]
        sizes = [0, *(w.shape[slot.axis] for w in own)]
        spans = zip(own, itertools.pairwise(sizes), strict=True)
        return [w.rate for w, (start, end) in spans for _ in range(start, end)]

    def effects(self, tensors: Mapping[str, Tensor], gates: Tensor) -> list[Effect]:
        """What it does with its tensors, scaled by the layout, under the gates (candidates) of the pass."""
        delta = self.largest.delta
        if delta.acts_on != "module":
            return [delta.effect(dict(tensors) | {"gates": self._row_gates(gates)})]
        if len(self.numbers) == 1 or delta.folds:
            return [delta.effect(tensors)]
        return [self._part(number, p, tensors, gates) for number, p in zip(self.numbers, self.placed, strict=True)]

    def _pieces(self, name: str, weight: Weight) -> tuple[tuple[int, ...], ...]:
        """The gates of a tensor: of all candidates together, or for each index those that reach so far."""
        if not weight.gated or (len(self.numbers) > 1 and not self.largest.delta.folds):
            return ()
        return self._reaching() if len(self.numbers) > 1 and name in self.largest.delta.axes else (self.numbers,)

    def _reaching(self) -> tuple[tuple[int, ...], ...]:
        """For each index along the shared axes the candidates that have it."""
        sizes = [self._size(p) for p in self.placed]
        pairs = list(zip(self.numbers, sizes, strict=True))
        return tuple(tuple(i for i, size in pairs if size > index) for index in range(sizes[-1]))

    def _size(self, placed: Placed) -> int:
        """How far a candidate reaches along the shared axes."""
        name, axis = next(iter(self.largest.delta.axes.items()))
        return placed.delta.weights(placed.site)[name].shape[axis]

    def _row_gates(self, gates: Tensor) -> Tensor:
        """A gate for each row of what is attended to: the sum of those of the candidates that have it."""
        spans, before = [], 0
        for k, placed in enumerate(self.placed):
            size = self._size(placed)
            reaching = sum((gates[i] for i in self.numbers[k + 1 :]), gates[self.numbers[k]])
            spans.append(reaching.expand(size - before))
            before = size
        return torch.cat(spans)

    def _part(self, number: int, placed: Placed, tensors: Mapping[str, Tensor], gates: Tensor) -> Effect:
        """One alternative by itself, where the sum of several is not one of the same kind."""
        gain = gates[number] * placed.delta.factor
        own = placed.delta.weights(placed.site)
        parts = {}
        for name, tensor in tensors.items():
            axis = placed.delta.axes.get(name)
            part = tensor if axis is None else tensor.narrow(axis, 0, own[name].shape[axis])
            parts[name] = part * gain.to(part.dtype) if own[name].gated else part
        return placed.delta.effect(parts)


def pools_of(placed: Sequence[Placed]) -> list[Pool]:
    """The candidates, alternatives together, in the order of the space."""
    groups: dict[int, list[int]] = {}
    for number, first in enumerate(choices_of([p.candidate for p in placed])):
        groups.setdefault(first, []).append(number)
    ascending = (sorted(group, key=lambda i: placed[i].candidate.parameters) for group in groups.values())
    return [Pool(tuple(group), tuple(placed[i] for i in group)) for group in ascending]
