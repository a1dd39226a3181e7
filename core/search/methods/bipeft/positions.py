"""Positions: places at which at most one candidate is trained, a single candidate or one of several alternatives.

BIPEFT searches two spaces over them: whether a position is used (binary), and which of its candidates is (LoRA ranks).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from core.model.gated import GatedModel
from core.model.layout import HEAD

TINY = 1e-30


class Positions:
    """The positions of a gated model.

    `of` (candidates) is the position of each candidate, `several` (positions) where there is a choice, `size`
    (positions) what the largest candidate trains.
    """

    def __init__(self, model: GatedModel) -> None:
        device = model.device
        groups: dict[int, list[int]] = {}
        for candidate, first in enumerate(model.choices):
            groups.setdefault(first, []).append(candidate)
        most = max(map(len, groups.values()))
        members = torch.tensor([group + [-1] * (most - len(group)) for group in groups.values()], device=device)
        self.count = len(groups)
        self._real = members >= 0
        self._members = members.clamp_min(0)
        # Where each candidate stands in the table of members.
        place = {c: (row, column) for row, group in enumerate(groups.values()) for column, c in enumerate(group)}
        self.of, self._column = torch.tensor([place[c] for c in range(len(place))], device=device).T
        self.first = self._members[:, 0]
        self.several = self._real.sum(1) > 1
        self.costs = torch.tensor(model.parameters, dtype=torch.float64, device=device)
        self.size = self._table(self.costs, 0.0).amax(1)
        slots = model.layout.slots
        # What belongs to no position, such as a head, is collected behind the last.
        owners = [self.count if slot.owner == HEAD else place[slot.owner][0] for slot in slots]
        self._of_slot = torch.tensor(owners, dtype=torch.long, device=device)
        sizes = torch.tensor([slot.size for slot in slots], device=device)
        self._of_weight = torch.repeat_interleave(torch.arange(len(slots), device=device), sizes)

    def sums(self, values: Tensor) -> Tensor:
        """The sums (positions) of values (candidates) over the candidates of each position."""
        return self._table(values, 0.0).sum(1)

    def softmax(self, logits: Tensor) -> Tensor:
        """A softmax over the candidates of each position (candidates): 1 for one that stands alone."""
        return self._table(logits, -torch.inf).softmax(1)[self.of, self._column]

    def best(self, logits: Tensor) -> Tensor:
        """1 for the candidate of each position with the largest logit, 0 for the others (candidates)."""
        table = self._table(logits.detach(), -torch.inf)
        return F.one_hot(table.argmax(1), table.shape[1])[self.of, self._column].to(logits.dtype)

    def divergence(self, first: Tensor, last: Tensor) -> Tensor:
        """KL(last || first) (positions) of the softmaxes over the candidates of each position."""
        p, q = (self._table(logits, -torch.inf).log_softmax(1) for logits in (last, first))
        return torch.where(self._real, p.exp() * (p - q), 0.0).sum(1)

    def magnitudes(self, product: Tensor) -> Tensor:
        """The sum of |w g| (positions) over the weights of each position, from w g (weights)."""
        by_slot = self._by_slot(product.abs())
        return by_slot.new_zeros(self.count + 1).index_add(0, self._of_slot, by_slot)[: self.count]

    def cosines(self, one: Tensor, other: Tensor) -> Tensor:
        """The cosine (positions) of two vectors (weights), tensor by tensor, in the mean of a position's tensors."""
        dot, first, second = (self._by_slot(x) for x in (one * other, one.square(), other.square()))
        cosines = dot / (first * second).sqrt().clamp_min(TINY)
        total = cosines.new_zeros(self.count + 1).index_add(0, self._of_slot, cosines)
        return (total / torch.bincount(self._of_slot, minlength=self.count + 1).clamp_min(1))[: self.count]

    def _by_slot(self, values: Tensor) -> Tensor:
        """Sums (tensors) over the elements of each tensor, in float64."""
        return torch.zeros(len(self._of_slot), dtype=torch.float64, device=values.device).index_add(
            0, self._of_weight, values.double()
        )

    def _table(self, values: Tensor, padding: float) -> Tensor:
        """Values (candidates) as (positions, most candidates)."""
        return values[self._members].masked_fill(~self._real, padding)
