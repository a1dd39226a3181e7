"""All delta weights in one vector: where each tensor lies, and how gates scale the vector.

One vector makes a virtual step, a perturbation, a norm or an optimiser a single operation, whatever the number of
candidates. What gates do not scale comes first; then the gated tensors, those of equal size side by side, so that
scaling is one product for each size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

HEAD = -1  # the owner of the weights of a new classification head


@dataclass(frozen=True)
class Slot:
    """One tensor in the vector: its owner (the number of a candidate, or HEAD), its name and shape."""

    owner: int
    name: str
    shape: tuple[int, ...]
    gated: bool

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


class Layout:
    """The order of tensors in the vector. `factors[i]` is the constant that scales candidate i beside its gate."""

    def __init__(self, slots: Sequence[Slot], factors: Sequence[float], device: torch.device) -> None:
        self.slots = sorted(slots, key=lambda s: (s.gated, s.size if s.gated else 0))
        self.size = sum(s.size for s in self.slots)
        self._factors = torch.tensor(factors, dtype=torch.float32, device=device)
        gated = [s for s in self.slots if s.gated]
        sizes = list(dict.fromkeys(s.size for s in gated))
        self._owners = [torch.tensor([s.owner for s in gated if s.size == n], device=device) for n in sizes]
        self._blocks = [self.size - sum(s.size for s in gated)]
        self._blocks += [n * len(owners) for n, owners in zip(sizes, self._owners, strict=True)]

    def scale(self, weights: Tensor, gates: Tensor) -> Tensor:
        """The weights (size) with every gated tensor multiplied by its gate (candidates) and factor."""
        free, *blocks = torch.split(weights, self._blocks)
        gains = gates * self._factors
        scaled = [
            (block.view(len(owners), -1) * gains[owners, None]).flatten()
            for block, owners in zip(blocks, self._owners, strict=True)
        ]
        return torch.cat([free, *scaled])

    def tensors(self, vector: Tensor) -> list[Tensor]:
        """The vector cut into the tensors of the slots, in their order, without copying."""
        parts = torch.split(vector, [s.size for s in self.slots])
        return [part.view(s.shape) for part, s in zip(parts, self.slots, strict=True)]
