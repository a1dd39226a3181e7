"""Gates of alternatives: of the candidates of one choice, such as LoRAs of several ranks, at most one is open.

A choice among k candidates with logits a_i has k + 1 outcomes, one of them "closed", with
p_i = e^{a_i} / (1 + sum_j e^{a_j}); for k = 1 that is the sigmoid of a single gate. So sum n_i p_i is the expected
number of parameters.

Sampling visits the alternatives in order: each is taken with its probability given that none before it was taken. That
needs one uniform number per candidate, and for k = 1 equals the binary concrete.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# Keeps the logarithm of the remaining probability finite when it reaches 0.
LEAST = 1e-12


@dataclass(frozen=True)
class Choices:
    """The candidates that have alternatives, padded: `members` (choices, most alternatives), and which are `real`.

    `places` are the flat indices of the real ones. All methods leave candidates without alternatives unchanged.
    """

    members: Tensor
    real: Tensor
    places: Tensor

    @classmethod
    def of(cls, first: Sequence[int], device: torch.device) -> Choices | None:
        """From the first alternative of each candidate (`choices_of`); None if no candidate has alternatives."""
        groups: dict[int, list[int]] = {}
        for number, owner in enumerate(first):
            groups.setdefault(owner, []).append(number)
        several = [group for group in groups.values() if len(group) > 1]
        if not several:
            return None
        most = max(map(len, several))
        members = torch.tensor([group + [-1] * (most - len(group)) for group in several], device=device)
        return cls(members.clamp_min(0), members >= 0, (members >= 0).flatten().nonzero().squeeze(-1))

    def marginal(self, logits: Tensor) -> Tensor:
        """logit p_i (..., candidates) from the logits a_i: a_i - log(1 + sum of e^{a_j} of the others)."""
        a = self._gather(logits, -torch.inf)
        same = torch.eye(a.shape[-1], dtype=torch.bool, device=a.device)
        others = a.unsqueeze(-2).expand(*a.shape, -1).masked_fill(same, -torch.inf).logsumexp(-1)
        return self._put(logits, a - torch.logaddexp(torch.zeros_like(others), others))

    def slopes(self, p: Tensor, parameters: Tensor) -> Tensor:
        """d (sum_j n_j p_j) / d a_i (candidates) = p_i (n_i - sum of n p over the choice)."""
        own, count = self._gather(p, 0.0), self._gather(parameters, 0.0)
        return self._put(p * (1 - p) * parameters, own * (count - (own * count).sum(-1, keepdim=True)))

    def conditional(self, logits: Tensor) -> Tensor:
        """From logit p_i the logits (candidates) of being taken given that no earlier alternative was."""
        p = torch.sigmoid(self._gather(logits, -torch.inf))
        left = (1 - p.cumsum(-1)).clamp_min(LEAST)
        return self._put(logits, p.clamp_min(LEAST).log() - left.log())

    def exclusive(self, z: Tensor) -> Tensor:
        """z_i (1 - z_j) for all alternatives j before i (candidates): their sum is at most 1."""
        own = self._gather(z, 0.0)
        before = torch.cat([torch.ones_like(own[..., :1]), (1 - own).cumprod(-1)[..., :-1]], -1)
        return self._put(z, own * before)

    def _gather(self, values: Tensor, padding: float) -> Tensor:
        return values[..., self.members].masked_fill(~self.real, padding)

    def _put(self, values: Tensor, own: Tensor) -> Tensor:
        """The values (..., candidates) with those of alternatives replaced by `own` (..., choices, most)."""
        result = values.clone()
        result[..., self.members.flatten()[self.places]] = own.flatten(-2)[..., self.places]
        return result
