"""Adapter: a bottleneck on a sub-layer's output."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from core.model.deltas.balance import KEPT, relative, summed
from core.model.deltas.base import Effect, Standalone, Weight, normal, zeros
from core.model.site import Site

STD = 0.01


@dataclass(frozen=True)
class Adapter(Standalone):
    """y = h + z (U gelu(D h + d) + u), with D: (m, out) and U: (out, m); 2 m out + m + out parameters.

    m is the bottleneck. D starts normal (std 0.01), the rest at zero; the paper's code starts U normal too. gelu is
    the tanh approximation. Houlsby et al. 2019, "Parameter-Efficient Transfer Learning for NLP", section 2.1.

    Balanced steps: D h has elements of size 0.01 sqrt(out), of which gelu keeps half. U has the rate
    1 / (0.01 sqrt(out) m^(3/4)), u a half, D 0.1.
    """

    bottleneck: int
    factor: float = 1.0
    axes: ClassVar[Mapping[str, int]] = {"down.weight": 0, "down.bias": 0, "up.weight": 1}
    folds: ClassVar[bool] = True

    def fits(self, site: Site) -> bool:
        """At sub-layers and linear layers."""
        return site.kind in ("linear", "block")

    def weights(self, site: Site) -> dict[str, Weight]:
        """Down- and up-projection with their biases."""
        m, d = self.bottleneck, site.outputs
        inner = KEPT * STD * math.sqrt(d)
        return {
            "down.weight": Weight((m, d), normal(STD), rate=relative(STD)),
            "down.bias": Weight((m,), zeros),
            "up.weight": Weight((d, m), zeros, True, normal(STD), rate=0.5 / (summed(m) * inner)),
            "up.bias": Weight((d,), zeros, gated=True, rate=0.5),
        }

    def effect(self, tensors: Mapping[str, Tensor]) -> Effect:
        """The bottleneck as a function of h."""
        down, d, up, u = (tensors[k] for k in ("down.weight", "down.bias", "up.weight", "up.bias"))
        return Effect(residual=lambda h: F.linear(F.gelu(F.linear(h, down, d), approximate="tanh"), up, u))
