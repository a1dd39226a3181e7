"""Parallel adapter: a bottleneck beside a sub-layer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from core.model.deltas.balance import KEPT, relative, summed
from core.model.deltas.base import Effect, LowRankMap, Standalone, Weight, uniform, zeros
from core.model.site import Site


@dataclass(frozen=True)
class ParallelAdapter(Standalone):
    """h = f(x) + z (U relu(D x + d) + u), with D: (m, in) and U: (out, m); m (in + out) + m + out parameters.

    m is the bottleneck, x what the sub-layer (or the linear layer) reads. D starts as a linear layer does, uniform in
    +-1/sqrt(in), the rest at zero. He et al. 2022, "Towards a Unified View of Parameter-Efficient Transfer
    Learning", section 3.3, without its constant scale.

    Balanced steps: D x has elements of size 1/sqrt(3), of which relu keeps half; U has the rate sqrt(3) / m^(3/4), u a
    half, D 10 / sqrt(3 in).
    """

    bottleneck: int
    factor: float = 1.0
    axes: ClassVar[Mapping[str, int]] = {"down.weight": 0, "down.bias": 0, "up.weight": 1}
    folds: ClassVar[bool] = True

    def fits(self, site: Site) -> bool:
        """At linear layers, and at sub-layers of which it is known where they begin."""
        return site.kind == "linear" or (
            site.kind == "block" and site.sublayer is not None and site.sublayer.entry != ""
        )

    def weights(self, site: Site) -> dict[str, Weight]:
        """Down- and up-projection with their biases."""
        m, inputs = self.bottleneck, site.inputs if site.sublayer is None else site.sublayer.inputs
        bound = 1 / math.sqrt(inputs)
        inner = KEPT / math.sqrt(3)
        return {
            "down.weight": Weight((m, inputs), uniform(bound), rate=relative(bound / math.sqrt(3))),
            "down.bias": Weight((m,), zeros),
            "up.weight": Weight((site.outputs, m), zeros, True, rate=0.5 / (summed(m) * inner)),
            "up.bias": Weight((site.outputs,), zeros, gated=True, rate=0.5),
        }

    def effect(self, tensors: Mapping[str, Tensor]) -> Effect:
        """The bottleneck as a function of x."""
        down, d, up, u = (tensors[k] for k in ("down.weight", "down.bias", "up.weight", "up.bias"))
        return Effect(parallel=lambda x: F.linear(F.relu(F.linear(x, down, d)), up, u))

    def low_rank_map(self) -> LowRankMap:
        """U D x: relu lets half of it pass, which the rate of U has."""
        return LowRankMap(self.bottleneck, "entry", "up.weight", share=0.5)
