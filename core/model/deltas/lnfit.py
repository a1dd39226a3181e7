"""LNFit: the weight of a normalisation layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from core.model.deltas.base import Effect, Standalone, Weight, zeros
from core.model.site import Site


@dataclass(frozen=True)
class LNFit(Standalone):
    """h = (g + z w) * norm(x), with w: (d) beside the frozen weight g; d parameters.

    w starts at zero. norm is the layer's own normalisation, with or without centring. S3 paper; the
    weight alone, its bias is a BitFit. A balanced step is lr, as norm(x) has elements of size one.
    """

    factor: float = 1.0

    def fits(self, site: Site) -> bool:
        """At normalisation layers."""
        return site.kind == "norm"

    def weights(self, site: Site) -> dict[str, Weight]:
        """The change of the weight."""
        return {"weight": Weight((site.outputs,), zeros, gated=True)}

    def effect(self, tensors: Mapping[str, Tensor]) -> Effect:
        """The change of the weight."""
        return Effect(scale=tensors["weight"])
