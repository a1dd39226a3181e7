"""The deltas: small sets of weights that change what a frozen module computes, one module each.

A delta is gated by scaling the weights with which it writes into the network: all of them are linear in those, so
`z * delta(x; w) = delta(x; z w)`, and a gate costs nothing in the forward pass. Prefix and soft prompt are vectors to
attend to: their gate multiplies the weight that attention gives them, before the weights are made to sum to one.
"""

from core.model.deltas.adapter import Adapter
from core.model.deltas.base import Delta, Effect, Weight
from core.model.deltas.bitfit import BitFit
from core.model.deltas.compacter import Compacter
from core.model.deltas.ia3 import IA3
from core.model.deltas.lnfit import LNFit
from core.model.deltas.lora import LoRA
from core.model.deltas.low_rank_adapter import LowRankAdapter
from core.model.deltas.parallel_adapter import ParallelAdapter
from core.model.deltas.prefix import Prefix
from core.model.deltas.soft_prompt import SoftPrompt
from core.run.deltas import ARGUMENTS, DeltaSpec

DELTAS: dict[str, type[Delta]] = {
    "lora": LoRA,
    "bitfit": BitFit,
    "lnfit": LNFit,
    "adapter": Adapter,
    "low-rank-adapter": LowRankAdapter,
    "parallel-adapter": ParallelAdapter,
    "compacter": Compacter,
    "ia3": IA3,
    "prefix": Prefix,
    "soft-prompt": SoftPrompt,
}


def make(spec: DeltaSpec) -> Delta:
    """The delta that a spec names, with its arguments; of a choice the largest."""
    return DELTAS[spec.name](**{key: spec[key] for key in ARGUMENTS[spec.name]})


__all__ = ["DELTAS", "Delta", "Effect", "Weight", "make"]
