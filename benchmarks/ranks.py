"""Methods ranked over tasks: mean ranks, Friedman's test, Nemenyi's critical difference.

J. Demsar, Statistical Comparisons of Classifiers over Multiple Data Sets, Journal of Machine Learning Research 7, 2006.
A table has a row for each task and a column for each method; the best score of a row has rank 1, equal ones share the
mean of their ranks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

LEAST_TASKS = 5  # with fewer, no difference of mean ranks could be told from chance
Scores = Sequence[Sequence[float]]


def mean_ranks(table: Scores) -> list[float]:
    """The mean rank of each method over the tasks."""
    return [float(rank) for rank in np.mean([stats.rankdata([-score for score in row]) for row in table], axis=0)]


def friedman(table: Scores) -> tuple[float, float]:
    """Friedman's chi-square of the hypothesis that all methods are alike, corrected for ties, and its p."""
    found = stats.friedmanchisquare(*zip(*table, strict=True))
    return float(found.statistic), float(found.pvalue)


def critical_difference(methods: int, tasks: int, alpha: float = 0.05) -> float:
    """The difference of mean ranks from which two methods differ: q sqrt(k (k + 1) / 6 N), after Nemenyi.

    q is the quantile of the studentized range for infinitely many degrees of freedom, divided by sqrt(2).
    """
    q = float(stats.studentized_range.ppf(1 - alpha, methods, math.inf)) / math.sqrt(2)
    return q * math.sqrt(methods * (methods + 1) / (6 * tasks))
