"""Balanced steps: the multiple of the learning rate with which each tensor of a delta moves.

A step of AdamW moves every weight by about the learning rate lr: the first step by exactly that. A BitFit then changes
each output of its module by lr. Another delta changes it by lr times the sum of what multiplies the weights that moved:
for B of (alpha / r) B A x these are r numbers (alpha / r) (A x)_j. The `rate` of a tensor is one over that sum, so that
every delta changes the output of its module as much as a BitFit there would, whatever its rank, width and constants.
Where two tensors of a delta start at zero and both are added to the output, each has half of that. A tensor that is
multiplied by one which starts at zero, as A of a LoRA, changes nothing in the first step. It moves in proportion to the
size that it starts with, by `RELATIVE` lr of its root mean square (`relative`), whatever its width; with the rate 1 a
step of 0.005 would change A by a sixth of itself at a width of 384, and by more in wider networks.

Assumed is that features have a mean square of one and either sign, that weights of the network keep that size, and that
gates are open. A sum of n terms of size one is then as large as

    sqrt(n)   where the signs of the step are independent of the input at hand, and
    n         where they are those of the input's own gradient (a single token, or tokens that agree).

`summed` is the geometric mean of both: up to n = 64 neither is more than a factor of 2.83 from it. What lies beside a
text in an attention is assumed to have scores like those of the text, which has 32 tokens.
"""

from __future__ import annotations

import math

TEXT = 32
# Chosen by measurement: docs/default-suite.md.
RELATIVE = 10.0
# What gelu and relu leave of the size of numbers of either sign.
KEPT = 0.5


def summed(n: int) -> float:
    """The size of a sum of n terms of size one, of which the signs agree in part: n^(3/4)."""
    return float(n**0.75)


def relative(rms: float) -> float:
    """The rate of a tensor that a zero one multiplies, from the root mean square with which it starts."""
    return RELATIVE * rms


def glorot_rms(*sides: int) -> float:
    """The root mean square of a matrix that starts Glorot-uniform: sqrt(2 / (rows + columns))."""
    return math.sqrt(2 / sum(sides))


def share(length: int, causal: bool) -> float:
    """The share of an attention that so many rows have beside a text; the mean over its tokens where these see it grow.

    n / (n + T), or n / T log(1 + T / n), for n rows and T tokens.
    """
    return length / TEXT * math.log1p(TEXT / length) if causal else length / (length + TEXT)
