"""The layout of all delta weights in one vector: the place of each tensor, and how gates scale it.

With one vector, a virtual step, a perturbation, a norm or an optimiser is a single operation, whatever the number of
candidates. Ungated tensors come first, then the gated pieces, grouped by size, so that scaling is one product per size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

HEAD = -1  # the owner of the weights of a new classification head


@dataclass(frozen=True)
class Slot:
    """One tensor in the vector: its owner (the number of a candidate, or HEAD), its name and shape.

    `pieces` are the candidates whose gates, added up, scale it: none for a tensor that is not gated; one entry for the
    whole tensor; or one for each index along `axis`, where alternatives share it. Such a tensor lies in the vector with
    that axis first.
    """

    owner: int
    name: str
    shape: tuple[int, ...]
    pieces: tuple[tuple[int, ...], ...] = ()
    axis: int = 0

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def piece(self) -> int:
        """Number of elements that one gate scales; 0 where none does."""
        return self.size // len(self.pieces) if self.pieces else 0

    @property
    def stored(self) -> tuple[int, ...]:
        """Its shape in the vector."""
        return (self.shape[self.axis], *(n for i, n in enumerate(self.shape) if i != self.axis))

    def view(self, part: Tensor) -> Tensor:
        """A view of its part of the vector in its own shape."""
        if self.axis == 0:
            return part.view(self.shape)
        return part.view(self.stored).movedim(0, self.axis)

    def flat(self, tensor: Tensor) -> Tensor:
        """The tensor flattened as in the vector; the inverse of `view`."""
        return tensor.movedim(self.axis, 0).reshape(-1)


class Layout:
    """The order of tensors in the vector. `factors[i]` is the constant that scales candidate i beside its gate."""

    def __init__(self, slots: Sequence[Slot], factors: Sequence[float], device: torch.device) -> None:
        self.slots = sorted(slots, key=lambda s: s.piece)
        self.size = sum(s.size for s in self.slots)
        self._factors = torch.tensor(factors, dtype=torch.float32, device=device)
        gated = [s for s in self.slots if s.pieces]
        sizes = list(dict.fromkeys(s.piece for s in gated))
        self._gains = [_Gains([p for s in gated if s.piece == n for p in s.pieces], device) for n in sizes]
        self._blocks = [self.size - sum(s.size for s in gated)]
        self._blocks += [n * gains.count for n, gains in zip(sizes, self._gains, strict=True)]

    def scale(self, weights: Tensor, gates: Tensor) -> list[Tensor]:
        """The weights (size) in blocks, with every gated piece multiplied by its gates (candidates) and factors.

        The first block holds the ungated tensors: separate, so that gradients to the gates alone do not involve it.
        """
        free, *blocks = torch.split(weights, self._blocks)
        scaled_gates = gates * self._factors
        scaled = [
            (block.view(gains.count, -1) * gains(scaled_gates)[:, None]).flatten()
            for block, gains in zip(blocks, self._gains, strict=True)
        ]
        return [free, *scaled]

    def tensors(self, *blocks: Tensor) -> list[Tensor]:
        """Views of the tensors of all slots, in their order, on the vector or its blocks."""
        slots, tensors = iter(self.slots), list[Tensor]()
        for block in blocks:
            own = list(_within(slots, len(block)))
            parts = torch.split(block, [slot.size for slot in own])
            tensors += [slot.view(part) for part, slot in zip(parts, own, strict=True)]
        return tensors


def _within(slots: Iterator[Slot], size: int) -> Iterator[Slot]:
    """The next slots that fill `size` elements."""
    while size > 0:
        slot = next(slots)
        size -= slot.size
        yield slot


class _Gains:
    """Computes the scale of each piece: the sum of the gates of its candidates."""

    def __init__(self, pieces: Sequence[Sequence[int]], device: torch.device) -> None:
        self.count = len(pieces)
        self._candidates = torch.tensor([i for piece in pieces for i in piece], device=device)
        self._pieces: Tensor | None = None
        if any(len(piece) > 1 for piece in pieces):
            numbers = [number for number, piece in enumerate(pieces) for _ in piece]
            self._pieces = torch.tensor(numbers, device=device)

    def __call__(self, gates: Tensor) -> Tensor:
        """The gains (pieces) for these gates (candidates)."""
        each = gates[self._candidates]
        return each if self._pieces is None else each.new_zeros(self.count).index_add(0, self._pieces, each)
