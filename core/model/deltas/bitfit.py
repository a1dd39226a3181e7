"""BitFit: a bias vector on a module's output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from core.model.deltas.base import Effect, Standalone, Weight, zeros
from core.model.site import Site


@dataclass(frozen=True)
class BitFit(Standalone):
    """y = h + z b, with b: (out); out parameters.

    b starts at zero and is added to the bias that the module may have. Ben Zaken et al. 2022, "BitFit: Simple
    Parameter-efficient Fine-tuning for Transformer-based Masked Language-models"; on modules without a bias as in the
    S3 paper. A step of lr changes the output by lr: what balanced steps of all deltas do.
    """

    factor: float = 1.0

    def fits(self, site: Site) -> bool:
        """At every module with an output: not at the input of a stack."""
        return site.kind != "stack"

    def weights(self, site: Site) -> dict[str, Weight]:
        """The bias."""
        return {"bias": Weight((site.outputs,), zeros, gated=True)}

    def effect(self, tensors: Mapping[str, Tensor]) -> Effect:
        """The bias."""
        return Effect(bias=tensors["bias"])
