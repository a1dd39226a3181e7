"""The deltas: small sets of weights that change what a frozen module computes, one module each.

A delta is gated by scaling the weights with which it writes into the network: all of them are linear in those, so
`z * delta(x; w) = delta(x; z w)`, and a gate costs nothing in the forward pass.
"""

from core.model.deltas.adapter import Adapter
from core.model.deltas.base import Delta, Effect, Weight
from core.model.deltas.bitfit import BitFit
from core.model.deltas.lnfit import LNFit
from core.model.deltas.lora import LoRA
from core.model.deltas.low_rank_adapter import LowRankAdapter
from core.run.deltas import ARGUMENTS, DeltaSpec

DELTAS: dict[str, type[Delta]] = {
    "lora": LoRA,
    "bitfit": BitFit,
    "lnfit": LNFit,
    "adapter": Adapter,
    "low-rank-adapter": LowRankAdapter,
}


def make(spec: DeltaSpec) -> Delta:
    """The delta that a spec names, with its arguments."""
    return DELTAS[spec.name](**{key: spec[key] for key in ARGUMENTS[spec.name]})


__all__ = ["DELTAS", "Adapter", "BitFit", "Delta", "Effect", "LNFit", "LoRA", "LowRankAdapter", "Weight", "make"]
