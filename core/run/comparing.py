"""Comparison of structures: the difference of two, and the agreement of several against random structures.

Candidates with equal site and delta count as the same, so that structures of different spaces can be compared too.
"""

from __future__ import annotations

import functools
import itertools
import random
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from core.run.selection import random_selection
from core.run.structure import Candidate, Structure, choices_of, jaccard, names_of, overlap

RESAMPLES = 2000  # bootstrap resamples
DRAWS = 100  # random structures for each searched one, as the baseline of the overlap
LEVEL = 0.95
Interval = tuple[float, float]


@dataclass(frozen=True)
class Difference:
    """Candidates chosen by one or both of two structures, in the order of their spaces; `jaccard` is their overlap."""

    only_a: tuple[Candidate, ...]
    only_b: tuple[Candidate, ...]
    both: tuple[Candidate, ...]
    jaccard: float


def difference(a: Structure, b: Structure) -> Difference:
    """The candidates chosen by only `a`, by only `b`, and by both."""
    in_a, in_b = names_of(a), names_of(b)
    return Difference(
        only_a=tuple(c for c in a.chosen if c.name not in in_b),
        only_b=tuple(c for c in b.chosen if c.name not in in_a),
        both=tuple(c for c in a.chosen if c.name in in_b),
        jaccard=jaccard(a, b),
    )


@dataclass(frozen=True)
class Agreement:
    """Agreement of several structures.

    `frequency`: for each candidate chosen by any of them, the share of structures that choose it, most frequent first;
    `pairs[i][j]`: the Jaccard overlap of structures i and j; `overlap`: its mean over the pairs i < j; `interval`: the
    95 % bootstrap interval of that mean over structures (None for fewer than three); `by_chance`: the mean overlap of
    structures drawn at random from the same spaces under the same budgets.
    """

    frequency: tuple[tuple[Candidate, float], ...]
    pairs: tuple[tuple[float, ...], ...]
    overlap: float
    interval: Interval | None
    by_chance: float


def agreement(structures: Sequence[Structure], seed: int = 0) -> Agreement:
    """The agreement of two or more structures; `seed` fixes the resamples and the random structures."""
    pairs = tuple(tuple(jaccard(a, b) for b in structures) for a in structures)
    mean = mean_overlap([names_of(s) for s in structures])
    return Agreement(_frequency(structures), pairs, mean, _interval(pairs, seed), by_chance(structures, seed))


def _frequency(structures: Sequence[Structure]) -> tuple[tuple[Candidate, float], ...]:
    candidates = {c.name: c for s in structures for c in s.chosen}
    counts = Counter(c.name for s in structures for c in s.chosen)
    # Sorting is stable: equally frequent candidates keep the order of the space.
    order = sorted(candidates, key=lambda name: -counts[name])
    return tuple((candidates[name], counts[name] / len(structures)) for name in order)


def _interval(pairs: Sequence[Sequence[float]], seed: int) -> Interval | None:
    """Bootstrap over structures, not pairs, as pairs are not independent; a structure is not paired with itself."""
    if len(pairs) < 3:
        return None
    place = random.Random(seed)
    means: list[float] = []
    while len(means) < RESAMPLES:
        drawn = place.choices(range(len(pairs)), k=len(pairs))
        values = [pairs[i][j] for i, j in itertools.combinations(drawn, 2) if i != j]
        if values:
            means.append(statistics.fmean(values))
    return percentiles(means)


def percentiles(values: Sequence[float], level: float = LEVEL) -> Interval:
    """The percentile interval that contains the middle `level` of the values."""
    ordered = sorted(values)
    cut = (1 - level) / 2
    last = len(ordered) - 1
    return ordered[round(cut * last)], ordered[round((1 - cut) * last)]


def mean_overlap(chosen: Sequence[frozenset[str]]) -> float:
    """The mean Jaccard overlap of two or more sets of chosen candidates, over their pairs.

    Candidates are not weighted by their parameters: the question is whether searches take the same decisions.
    """
    return statistics.fmean(itertools.starmap(overlap, itertools.combinations(chosen, 2)))


def by_chance(structures: Sequence[Structure], seed: int = 0) -> float:
    """The mean overlap of structures drawn at random, each from the space and under the budget of one of these.

    It is kept for these spaces and budgets, so that many groups of runs take little longer than one.
    """
    return _by_chance(tuple((s.candidates, _budget(s)) for s in structures), seed)


@functools.lru_cache(maxsize=256)
def _by_chance(spaces: tuple[tuple[tuple[Candidate, ...], int], ...], seed: int) -> float:
    drawn = []
    for number, (candidates, budget) in enumerate(spaces):
        place = random.Random(f"{seed}/{number}")
        selections = _draw(candidates, budget, [place.getrandbits(32) for _ in range(DRAWS)])
        drawn.append([frozenset(candidates[i].name for i in selected) for selected in selections])
    return statistics.fmean(mean_overlap(together) for together in zip(*drawn, strict=True))


def _draw(candidates: Sequence[Candidate], budget: int, seeds: Sequence[int]) -> list[tuple[int, ...]]:
    """A random structure within the budget for each seed."""
    sizes, choices = [c.parameters for c in candidates], choices_of(candidates)
    return [random_selection(sizes, budget, seed, choices) for seed in seeds]


def _budget(structure: Structure) -> int:
    return structure.parameters if structure.budget is None else structure.budget


def drawn_like(structure: Structure, seed: int) -> Structure:
    """A random structure from the same space, under the same budget or, without one, with as many candidates."""
    budget = _budget(structure)
    (selected,) = _draw(structure.candidates, budget, [seed])
    p = tuple(float(i in set(selected)) for i in range(len(structure.candidates)))
    return replace(structure, p=p, selected=selected, budget=budget)
