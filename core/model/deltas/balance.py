"""Balanced steps: how many times the learning rate each tensor of a delta moves with.

A step of AdamW moves every weight by about the learning rate lr, up or down: at the first step by exactly that. A BitFit
then changes each output of its module by lr. Another delta changes it by lr times what multiplies the weight that moved:
of B in (alpha / r) B A x that is r numbers (alpha / r) (A x)_j, added up. A tensor's `rate` divides by that sum, so that
every delta changes its module's output by as much as a BitFit there, whatever its rank, width and constants. Where two
tensors of a delta start at zero and both write to the output, each has half.

Assumed are what a normalised network has: features that a module reads, and those that it writes, have a mean square
of one, and are of either sign. Such a sum of n terms is as large as

    sqrt(n)   where the signs of the step have nothing to do with the input at hand, and
    n         where they are those of its own gradient (one token, or tokens that agree).

`summed` is the geometric mean of both, so that for n = 64 neither is more than a factor of 2.83 away.
"""

from __future__ import annotations

# The tokens of a text that something shares the attention with; a sum of weights over that many is assumed.
TEXT = 32
# What gelu and relu leave of the size of numbers of either sign.
KEPT = 0.5


def summed(n: int) -> float:
    """The size of a sum of n terms of size one whose signs agree in part: n^(3/4)."""
    return float(n**0.75)


def share(length: int) -> float:
    """The share of an attention that so many rows have beside a text, all scores being equal."""
    return length / (length + TEXT)
