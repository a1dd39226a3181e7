"""(IA)3: a learned factor for each feature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from core.model.deltas.base import Effect, Standalone, Weight, zeros
from core.model.site import Site


@dataclass(frozen=True)
class IA3(Standalone):
    """y = (1 + z w) * h, with w: (out); out parameters. At `ffn.out` h = f((1 + z w) * x), with w: (in); in parameters.

    w starts at zero, so that the factors start at one: `attn.{k,v}` scales keys and values, `ffn.out` what comes
    out of the non-linearity. Liu et al. 2022, "Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than
    In-Context Learning", section 3.3. A balanced step is lr, where h has elements of size one.
    """

    factor: float = 1.0

    def fits(self, site: Site) -> bool:
        """At linear layers and sub-layers."""
        return site.kind in ("linear", "block")

    def weights(self, site: Site) -> dict[str, Weight]:
        """The change of the factors, of the features that come in or go out."""
        if site.name == "ffn.out":
            return {"input_scale": Weight((site.inputs,), zeros, gated=True)}
        return {"scale": Weight((site.outputs,), zeros, gated=True)}

    def effect(self, tensors: Mapping[str, Tensor]) -> Effect:
        """The change of the factors."""
        if "input_scale" in tensors:
            return Effect(input_scale=tensors["input_scale"])
        return Effect(output_scale=tensors["scale"])
