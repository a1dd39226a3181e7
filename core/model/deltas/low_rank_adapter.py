"""Low-rank adapter: an adapter whose two projections are products of thin matrices."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from core.model.deltas.balance import KEPT, glorot_rms, relative, summed
from core.model.deltas.base import Effect, Standalone, Weight, glorot, zeros
from core.model.site import Site


@dataclass(frozen=True)
class LowRankAdapter(Standalone):
    """y = h + z (gelu(h Dl Dr + d) Ul Ur + u), with Dl: (out, k), Dr: (k, m), Ul: (m, k), Ur: (k, out).

    m = out / reduction (at least 1), k = rank; 2 k (out + m) + m + out parameters. The factors start Glorot-uniform,
    but Ur and the biases at zero; the paper's code starts Ur Glorot-uniform too. gelu is the tanh approximation.
    Karimi Mahabadi et al. 2021, "Compacter", section 3 (the low-rank baseline).

    Balanced steps: elements of h Dl Dr have the size s = sqrt(2 out / (out + k) 2 k / (k + m)), of which gelu keeps
    half, and what Ur multiplies has the size t = s / 2 sqrt(2 m / (m + k)). Ur has the rate 1 / (2 t k^(3/4)), u a
    half, the others 10 sqrt(2 / (rows + columns)).
    """

    reduction: int
    rank: int
    factor: float = 1.0
    axes: ClassVar[Mapping[str, int]] = {"down.left": 1, "down.right": 0, "up.left": 1, "up.right": 0}

    def fits(self, site: Site) -> bool:
        """At sub-layers and linear layers."""
        return site.kind in ("linear", "block")

    def weights(self, site: Site) -> dict[str, Weight]:
        """The four thin matrices and two biases."""
        d, k = site.outputs, self.rank
        m = max(1, d // self.reduction)
        inner = KEPT * math.sqrt(d * k) * glorot_rms(d, k) * glorot_rms(k, m)
        thin = inner * math.sqrt(m) * glorot_rms(m, k)
        return {
            "down.left": Weight((d, k), glorot, rate=relative(glorot_rms(d, k))),
            "down.right": Weight((k, m), glorot, rate=relative(glorot_rms(k, m))),
            "down.bias": Weight((m,), zeros),
            "up.left": Weight((m, k), glorot, rate=relative(glorot_rms(m, k))),
            "up.right": Weight((k, d), zeros, True, glorot, rate=0.5 / (summed(k) * thin)),
            "up.bias": Weight((d,), zeros, gated=True, rate=0.5),
        }

    def effect(self, tensors: Mapping[str, Tensor]) -> Effect:
        """The two thin maps as a function of h, from the thin side, so that no (out, m) matrix is formed."""
        down_left, down_right, d = (tensors[f"down.{k}"] for k in ("left", "right", "bias"))
        up_left, up_right, u = (tensors[f"up.{k}"] for k in ("left", "right", "bias"))

        def residual(h: Tensor) -> Tensor:
            inner = F.gelu(h @ down_left @ down_right + d, approximate="tanh")
            thin = inner @ up_left
            return torch.addmm(u, thin.flatten(0, -2), up_right).view(h.shape)

        return Effect(residual=residual)
