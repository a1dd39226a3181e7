"""The deltas: small sets of weights that change what a frozen module computes, one module each.

A delta is gated by scaling the weights with which it writes into the network: all of them are linear in those, so
`z * delta(x; w) = delta(x; z w)`, and a gate costs nothing in the forward pass. Prefix and soft prompt are vectors to
attend to: their gate multiplies the weight that attention gives them, before the weights are made to sum to one.
"""

from __future__ import annotations

from core.model.deltas.base import Delta, Effect, Weight
from core.run.deltas import DELTAS, DeltaSpec
from core.run.plugins import resolve


def delta_class(name: str) -> type[Delta]:
    """The class of a delta; raises SpecError where it comes from a package that cannot be imported."""
    found: type[Delta] = resolve(DELTAS[name].code, f"delta {name!r}")
    return found


def make(spec: DeltaSpec) -> Delta:
    """The delta that a spec names, with its arguments; of a choice the largest."""
    return delta_class(spec.name)(**{key: spec[key] for key in DELTAS[spec.name].arguments})


__all__ = ["Delta", "Effect", "Weight", "delta_class", "make"]
