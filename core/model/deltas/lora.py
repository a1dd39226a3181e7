"""LoRA: a low-rank update of a linear layer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from core.model.deltas.balance import relative, summed
from core.model.deltas.base import Effect, Standalone, Weight, uniform, zeros
from core.model.site import Site


@dataclass(frozen=True)
class LoRA(Standalone):
    """h = W x + z (alpha / r) B A x, with A: (r, in) and B: (out, r); r (in + out) parameters.

    A starts as a linear layer does, uniform in +-1/sqrt(in); B at zero. Hu et al. 2021, "LoRA: Low-Rank Adaptation
    of Large Language Models", section 4.1; alpha = 16 as in the code of the S3 paper.

    Balanced steps: A x has elements of size 1/sqrt(3), so that a step of lr in B changes h by
    lr (alpha / r) r^(3/4) / sqrt(3). B has the rate sqrt(3) r^(1/4) / alpha: 0.11 for alpha = 16 and r = 1.
    A has the rate 10 / sqrt(3 in): 0.29 for 384 inputs.

    Ranks r_1, r_2, ... to choose from share the weights of the largest: h = W x + B G A x with the diagonal
    G_jj = sum of z_i alpha / r_i over the ranks r_i >= j.
    """

    rank: int
    alpha: int
    axes: ClassVar[Mapping[str, int]] = {"lora_A": 0, "lora_B": 1}
    folds: ClassVar[bool] = True

    def fits(self, site: Site) -> bool:
        """At linear layers."""
        return site.kind == "linear"

    def weights(self, site: Site) -> dict[str, Weight]:
        """A and B."""
        bound = 1 / math.sqrt(site.inputs)
        moved = self.factor * summed(self.rank)
        return {
            "lora_A": Weight((self.rank, site.inputs), uniform(bound), rate=relative(bound / math.sqrt(3))),
            "lora_B": Weight((site.outputs, self.rank), zeros, gated=True, rate=math.sqrt(3) / moved),
        }

    @property
    def factor(self) -> float:
        """alpha / r."""
        return self.alpha / self.rank

    def effect(self, tensors: Mapping[str, Tensor]) -> Effect:
        """The two factors of the update."""
        return Effect(low_rank=(tensors["lora_A"], tensors["lora_B"]))
