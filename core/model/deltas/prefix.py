"""Prefix: keys and values that an attention sees before those of the text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from core.model.deltas.balance import share, summed
from core.model.deltas.base import Effect, Rows, Standalone, Weight, normal
from core.model.site import Site

# The size of a mean of values over a text, of one.
MEAN = 0.5


@dataclass(frozen=True)
class Prefix(Standalone):
    """softmax([q P^T + log z, q K^T]) [V'; V], with P, V': (n, heads x width) before the text's; 2 n heads width
    parameters.

    n is the length; heads are those of keys and values. The gate multiplies the weight of the prefix before the
    weights are made to sum to one: its share of the attention is z e / (z e + t), with e and t the sums of exponentials
    over prefix and text. P and V' start normal (std 0.02) and are learned directly. Positions, masks and caches of
    the text stay as they are. Li and Liang 2021, "Prefix-Tuning", section 4, without its re-parametrisation; the
    share as in He et al. 2022, equation 7.

    Balanced steps: with the share s of the prefix beside a text of 32 tokens, V' has the rate 1 / (2 s); a step in P
    changes scores by lr width^(1/4), and with values of the text whose mean has the size 1/2 the rate is
    1 / (s (1 - s) width^(1/4)).
    """

    length: int
    factor: float = 1.0
    axes: ClassVar[Mapping[str, int]] = {"keys": 0, "values": 0}
    folds: ClassVar[bool] = True
    acts_on: ClassVar[Literal["module", "attention", "stack"]] = "attention"

    def fits(self, site: Site) -> bool:
        """At the sub-layers of attention."""
        return site.kind != "norm" and site.sublayer is not None and site.sublayer.attention is not None

    def weights(self, site: Site) -> dict[str, Weight]:
        """Keys and values."""
        assert site.sublayer is not None
        assert site.sublayer.attention is not None
        heads, width = site.sublayer.attention.heads, site.sublayer.attention.head_width
        causal = site.stack == "decoder" and site.name != "block.cross"
        shape, part = (self.length, heads * width), share(self.length, causal)
        scores = summed(width) / math.sqrt(width)
        return {
            "keys": Weight(shape, normal(0.02), rate=0.5 / (part * (1 - part) * scores * MEAN)),
            "values": Weight(shape, normal(0.02), rate=0.5 / part),
        }

    def effect(self, tensors: Mapping[str, Tensor]) -> Effect:
        """The keys and values with the gates of their rows."""
        return Effect(rows=Rows(tensors["keys"], tensors["gates"], tensors["values"]))
