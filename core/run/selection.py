"""Selection of a structure under a budget, with at most one of alternatives; random selection, averaged structures.

A run selects with this code, and the app shows with it what would be selected now. No torch; numpy only for a knapsack.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace

from core.run.errors import RunDirError
from core.run.structure import Candidate, Structure, choices_of


@dataclass(frozen=True)
class Cut:
    """The rule that selects a structure: at most `budget` parameters, `how` = "first-fit" or "knapsack".

    `parameters` and `choices` (see `choices_of`) are those of the candidates, in the order of the space.
    """

    parameters: Sequence[int]
    choices: Sequence[int]
    budget: float
    how: str = "first-fit"

    @classmethod
    def of(cls, candidates: Sequence[Candidate], budget: float, how: str = "first-fit") -> Cut:
        """The rule for these candidates."""
        return cls([c.parameters for c in candidates], choices_of(candidates), budget, how)

    def select(self, p: Sequence[float], order: Iterable[int] | None = None) -> tuple[int, ...]:
        """The selected indices, ascending: by p, or the first ones of an `order` that fit."""
        if order is None:
            return select(p, self.parameters, self.budget, self.how, self.choices)
        return tuple(sorted(fill(order, self.parameters, self.budget, self.choices)))


def select(
    p: Sequence[float], parameters: Sequence[int], budget: float, how: str, choices: Sequence[int] | None = None
) -> tuple[int, ...]:
    """Choose candidates within the budget, `how` = "first-fit" or "knapsack"; ascending indices.

    Of candidates with the same number in `choices` (see `choices_of`) at most one is chosen; None: all are compatible.
    """
    rules = {"first-fit": first_fit, "knapsack": knapsack}
    return tuple(sorted(rules[how](p, parameters, budget, choices)))


def first_fit(
    p: Sequence[float], parameters: Sequence[int], budget: float, choices: Sequence[int] | None = None
) -> list[int]:
    """Take candidates from the most probable down, skipping what no longer fits (the paper's rule).

    Equal probabilities keep the order of the space. A later, smaller candidate may still fit. Alternatives come where
    the sum of their probabilities puts them, the most probable first.
    """
    together = [0.0] * len(p)
    for i, value in enumerate(p):
        together[i if choices is None else choices[i]] += value
    order = sorted(range(len(p)), key=lambda i: (-together[i if choices is None else choices[i]], -p[i]))
    return fill(order, parameters, budget, choices)


def fill(
    order: Iterable[int], parameters: Sequence[float], budget: float, choices: Sequence[int] | None = None
) -> list[int]:
    """Take candidates in this order, skipping what no longer fits and what has an alternative taken."""
    chosen, used, taken = [], 0.0, set()
    for i in order:
        choice = i if choices is None else choices[i]
        if used + parameters[i] <= budget and choice not in taken:
            chosen.append(i)
            taken.add(choice)
            used += parameters[i]
    return chosen


def knapsack(
    p: Sequence[float], parameters: Sequence[int], budget: float, choices: Sequence[int] | None = None
) -> list[int]:
    """The subset that maximises sum p_i under sum n_i <= budget (0-1 knapsack, exact), one at most of alternatives.

    Dynamic programme over the used budget in units of the greatest common divisor of the counts:
    O(candidates x budget / gcd) time, two bytes of memory for each choice and unit.
    """
    import numpy as np  # kept out of the import time of whoever only reads structures

    unit = math.gcd(*parameters) or 1
    weights = [n // unit for n in parameters]
    capacity = int(min(budget, sum(parameters))) // unit
    groups = _grouped(len(p), choices)
    best = np.zeros(capacity + 1)
    taken = np.zeros((len(groups), capacity + 1), dtype=np.uint16)  # 0: none, k: the k-th alternative
    for g, members in enumerate(groups):
        before = best.copy()
        for k, i in enumerate(members, 1):
            if weights[i] <= capacity:
                with_i = before[: capacity + 1 - weights[i]] + p[i]
                better = with_i > best[weights[i] :]
                taken[g, weights[i] :][better] = k
                best[weights[i] :] = np.where(better, with_i, best[weights[i] :])
    chosen, left = [], capacity
    for g in reversed(range(len(groups))):
        if taken[g, left]:
            chosen.append(groups[g][int(taken[g, left]) - 1])
            left -= weights[chosen[-1]]
    return chosen


def _grouped(count: int, choices: Sequence[int] | None) -> list[list[int]]:
    """The candidates, alternatives together, in the order of the space."""
    groups: dict[int, list[int]] = {}
    for i in range(count):
        groups.setdefault(i if choices is None else choices[i], []).append(i)
    return list(groups.values())


def even_order(layers: Sequence[Hashable]) -> list[int]:
    """Candidates in an order of which every beginning is spread evenly over the layers.

    `layers[i]` is the layer of candidate i. In each round every layer has its turn, once: first the last one, then
    always the one that lies farthest from all before it. Layers start with different candidates, the one after that of
    the layer before, so that each kind of candidate has its turn as often as the others.
    """
    members: dict[Hashable, list[int]] = {}
    for i, layer in enumerate(layers):
        members.setdefault(layer, []).append(i)
    groups = list(members.values())
    turns = _farthest_first(len(groups))
    rounds = range(max(map(len, groups), default=0))
    return [groups[g][(t + g) % len(groups[g])] for t in rounds for g in turns if t < len(groups[g])]


def _farthest_first(count: int) -> list[int]:
    """The numbers below `count`: the largest, then always the one farthest from those before it."""
    order = list(range(count))[-1:]
    while len(order) < count:
        order.append(max(range(count), key=lambda i: (min(abs(i - j) for j in order), i)))
    return order


def random_selection(
    parameters: Sequence[int], budget: float, seed: int, choices: Sequence[int] | None = None
) -> tuple[int, ...]:
    """A uniformly shuffled order, first fit under the budget: the random baseline at equal budget."""
    import random  # kept out of the import time of whoever only reads structures

    order = list(range(len(parameters)))
    random.Random(seed).shuffle(order)
    return tuple(sorted(fill(order, parameters, budget, choices)))


def mean(structures: Sequence[Structure], budget: int, how: str = "first-fit") -> Structure:
    """The paper's averaged structure: p averaged over runs of one space, selected again under `budget`."""
    if any(s.candidates != structures[0].candidates for s in structures):
        raise RunDirError("these structures are of different spaces", "average runs of one model and space")
    p = tuple(sum(values) / len(structures) for values in zip(*(s.p for s in structures), strict=True))
    selected = Cut.of(structures[0].candidates, budget, how).select(p)
    return replace(structures[0], p=p, selected=selected, budget=budget)
