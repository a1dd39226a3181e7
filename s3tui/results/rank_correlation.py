"""Whether what a search thought of structures is what they scored: a rank correlation over the structures of one task.

With the p of a search at its end, averaged over its seeds, it thought of a structure S of its space

    t(S) = sum over i in S of p_i,

the number of candidates of S that it expects to be open. This is what `selection = "knapsack"` maximises, and of a
one-shot search the sum of its scores. Over the structures that were retrained in the same way under the same budget,
whichever method chose them, t is compared with the mean test score by Kendall's tau-b: 1 if both put them in the same
order, 0 if the orders have nothing to do with each other, -1 if one is the other reversed.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_right
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

FEWEST = 5  # structures; of 4 even equal orders come about by chance once in 24 times
QUANTILE = 1.960  # the 97.5 % quantile of the normal distribution

Chosen = frozenset[str]


@dataclass(frozen=True)
class RankCorrelation:
    """Kendall's tau of t(S) and scores over `structures` different ones.

    `tau` is None for fewer than FEWEST structures, and if all of t or all scores are equal. About 95 % of unrelated
    orders have a tau within +- `by_chance`.
    """

    structures: int
    tau: float | None
    by_chance: float | None

    def __str__(self) -> str:
        if self.structures < FEWEST:
            count = f"{self.structures} structure" + ("" if self.structures == 1 else "s")
            return f"{count}, too few to compare p with scores: it takes {FEWEST}"
        if self.tau is None or self.by_chance is None:
            return f"p or scores do not differ between {self.structures} structures"
        return (
            f"Kendall's tau of p and scores is {self.tau:+.2f} over {self.structures} structures "
            f"(95 % of unrelated orders lie within ±{self.by_chance:.2f})"
        )


def mean_scores(retrained: Iterable[tuple[Chosen, float]]) -> dict[Chosen, float]:
    """The mean test score of each structure, the names of its candidates, from those of runs; without empty ones."""
    scores: dict[Chosen, list[float]] = {}
    for chosen, score in retrained:
        if chosen:
            scores.setdefault(chosen, []).append(score)
    return {chosen: statistics.fmean(of_one) for chosen, of_one in scores.items()}


def rank_correlation(p: Mapping[str, float], scores: Mapping[Chosen, float]) -> RankCorrelation:
    """The rank correlation for a search with these p (by names of candidates), over the structures of its space.

    Structures with candidates that the search did not have are left out.
    """
    names = frozenset(p)
    known = [chosen for chosen in scores if chosen <= names]
    count = len(known)
    if count < FEWEST:
        return RankCorrelation(count, None, None)
    thought = [math.fsum(map(p.__getitem__, chosen)) for chosen in known]  # exact, so that the order does not count
    return RankCorrelation(count, kendall(thought, [scores[chosen] for chosen in known]), spread(count))


def kendall(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Kendall's tau-b: (C - D) / sqrt((n_0 - n_a) (n_0 - n_b)), with C concordant and D discordant of n_0 pairs.

    n_a and n_b pairs are tied in a and in b, n_ab in both: C - D = n_0 - n_a - n_b + n_ab - 2 D. D is the number
    of inversions of b in the order of a (Knight 1966, doi:10.2307/2282833). None if all pairs are tied in a or in b.
    """
    pairs, tied_a, tied_b = math.comb(len(a), 2), _tied(a), _tied(b)
    seen: list[float] = []
    discordant = 0
    for _, value in sorted(zip(a, b, strict=True)):
        place = bisect_right(seen, value)
        discordant += len(seen) - place
        seen.insert(place, value)
    whole = math.sqrt((pairs - tied_a) * (pairs - tied_b))
    difference = pairs - tied_a - tied_b + _tied(list(zip(a, b, strict=True))) - 2 * discordant
    return difference / whole if whole else None


def _tied(values: Sequence[Hashable]) -> int:
    """How many pairs are of equal values."""
    return sum(math.comb(count, 2) for count in Counter(values).values())


def spread(count: int) -> float:
    """The half width of the interval in which 95 % of the taus of unrelated orders lie: 1.96 sqrt(2 (2n+5) / 9n(n-1)).

    The normal approximation of the distribution without ties.
    """
    return min(1.0, QUANTILE * math.sqrt(2 * (2 * count + 5) / (9 * count * (count - 1))))
