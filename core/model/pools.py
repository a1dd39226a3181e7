"""Pools: candidates that share weights; the weights of a smaller alternative are a part of the largest one's."""

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
    """A candidate, or the alternatives of one choice in ascending size; `numbers` are their indices in the gates.

    The weights are those of the largest; a smaller alternative uses the first part along the axes that its delta names.
    """

    numbers: tuple[int, ...]
    placed: tuple[Placed, ...]

    @property
    def largest(self) -> Placed:
        """The largest candidate."""
        return self.placed[-1]

    @property
    def owner(self) -> int:
        """The number of the largest."""
        return self.numbers[-1]

    @property
    def name(self) -> str:
        """The prefix of its tensors in files: `<module>/<delta>`."""
        candidate = self.largest.candidate
        return f"{candidate.module}/{candidate.choice if len(self.numbers) > 1 else candidate.delta}"

    @property
    def weights(self) -> dict[str, Weight]:
        """The trained tensors."""
        return self.largest.delta.weights(self.largest.site)

    def slots(self) -> list[Slot]:
        """Its tensors as slots of the layout, with the gates that scale them."""
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
        """Its effects with these tensors, which the layout has scaled, and the gates (candidates) of the pass."""
        delta = self.largest.delta
        if delta.acts_on != "module":
            return [delta.effect(dict(tensors) | {"gates": self._row_gates(gates)})]
        if len(self.numbers) == 1 or delta.folds:
            return [delta.effect(tensors)]
        return [self._part(number, p, tensors, gates) for number, p in zip(self.numbers, self.placed, strict=True)]

    def own_tensors(self, number: int, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Its part of the tensors for one of its candidates, by the names that they have where it is trained alone."""
        placed = self.placed[self.numbers.index(number)]
        prefix = f"{placed.candidate.module}/{placed.candidate.delta}"
        return {f"{prefix}/{name}": part for name, part in _narrowed(placed, tensors).items()}

    def _pieces(self, name: str, weight: Weight) -> tuple[tuple[int, ...], ...]:
        """The gates of a tensor: those of all candidates, or for each index those of the candidates that include it."""
        if not weight.gated or (len(self.numbers) > 1 and not self.largest.delta.folds):
            return ()
        return self._reaching() if len(self.numbers) > 1 and name in self.largest.delta.axes else (self.numbers,)

    def _reaching(self) -> tuple[tuple[int, ...], ...]:
        """For each index along the shared axes the candidates that include it."""
        sizes = [self._size(p) for p in self.placed]
        pairs = list(zip(self.numbers, sizes, strict=True))
        return tuple(tuple(i for i, size in pairs if size > index) for index in range(sizes[-1]))

    def _size(self, placed: Placed) -> int:
        """The size of a candidate along the shared axes."""
        name, axis = next(iter(self.largest.delta.axes.items()))
        return placed.delta.weights(placed.site)[name].shape[axis]

    def _row_gates(self, gates: Tensor) -> Tensor:
        """A gate for each additional key: the sum of the gates of the candidates that include it."""
        spans, before = [], 0
        for k, placed in enumerate(self.placed):
            size = self._size(placed)
            reaching = sum((gates[i] for i in self.numbers[k + 1 :]), gates[self.numbers[k]])
            spans.append(reaching.expand(size - before))
            before = size
        return torch.cat(spans)

    def _part(self, number: int, placed: Placed, tensors: Mapping[str, Tensor], gates: Tensor) -> Effect:
        """The effect of one alternative by itself, for deltas whose alternatives cannot be summed into one effect."""
        gain = gates[number] * placed.delta.factor
        own = placed.delta.weights(placed.site)
        parts = _narrowed(placed, tensors)
        return placed.delta.effect(
            {name: part * gain.to(part.dtype) if own[name].gated else part for name, part in parts.items()}
        )


def _narrowed(placed: Placed, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The parts of the tensors of the largest alternative that a smaller one has."""
    own, axes = placed.delta.weights(placed.site), placed.delta.axes
    return {
        name: tensor.narrow(axes[name], 0, own[name].shape[axes[name]]) if name in axes else tensor
        for name, tensor in tensors.items()
    }


def pools_of(placed: Sequence[Placed]) -> list[Pool]:
    """The candidates grouped into pools, in the order of the space."""
    groups: dict[int, list[int]] = {}
    for number, first in enumerate(choices_of([p.candidate for p in placed])):
        groups.setdefault(first, []).append(number)
    ascending = (sorted(group, key=lambda i: placed[i].candidate.parameters) for group in groups.values())
    return [Pool(tuple(group), tuple(placed[i] for i in group)) for group in ascending]
