"""The pruning rules of BIPEFT, on plain numbers.

Chang et al. 2024, "BIPEFT: Budget-Guided Iterative Search for Parameter Efficient Fine-Tuning of Large Pretrained
Language Models", Findings of EMNLP 2024 (arXiv 2410.09079), and the code published with it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from core.run.selection import fill


def within_budget(
    sensitivity: Sequence[float], sizes: Sequence[float], pruned: Sequence[bool], budget: float
) -> list[bool]:
    """Which positions are taken, from the most sensitive down, skipping what is pruned or no longer fits."""
    order = sorted((i for i in range(len(sizes)) if not pruned[i]), key=lambda i: -sensitivity[i])
    taken = set(fill(order, sizes, budget))
    return [i in taken for i in range(len(sizes))]


def similarity(one: Sequence[bool], other: Sequence[bool]) -> float:
    """The cosine of two vectors of 0 and 1; 0 where one of them is zero."""
    common = sum(a and b for a, b in zip(one, other, strict=True))
    return common / math.sqrt(sum(one) * sum(other)) if common else 0.0


def is_steady(now: Sequence[bool], before: Sequence[Sequence[bool]], window: int, threshold: float) -> bool:
    """Whether the mean cosine with the last `window` such vectors reaches the threshold; never with fewer of them."""
    last = before[-window:]
    return len(last) == window and sum(similarity(now, one) for one in last) / window >= threshold


def to_prune(
    sensitivity: Sequence[float], expected: Sequence[float], pruned: Sequence[bool], budget: float, left: int
) -> list[int]:
    """The positions to prune now, with `left` prunings to go: the least sensitive of (E - B) / left parameters.

    `expected` (positions) are the parameters each is expected to train, and E is their sum over what is not pruned.
    What is too large is skipped; but at least one position goes while E exceeds the budget.
    """
    order = sorted((i for i in range(len(expected)) if not pruned[i]), key=lambda i: sensitivity[i])
    amount = (sum(expected[i] for i in order) - budget) / left
    if amount <= 0:
        return []
    return fill(order, expected, amount) or order[:1]


def to_fix(instability: Sequence[float], fixed: Sequence[bool], same: float, left: int) -> list[int]:
    """The positions whose rank is fixed now: the most stable of `same` x (those that are free) / left, rounded down.

    `same` is the share of ranks that did not change since the last pruning; with the last one, all are fixed.
    """
    free = sorted((i for i, is_fixed in enumerate(fixed) if not is_fixed), key=lambda i: instability[i])
    return free if left <= 1 else free[: math.floor(same * len(free) / left)]
