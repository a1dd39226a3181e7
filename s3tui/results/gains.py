"""The gain of a searched structure over the best baseline at the same budget, paired by seed and row if possible."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from core.run.comparing import Interval
from core.run.methods import method_of
from s3tui.results.paired_rows import row_variance
from s3tui.results.summary import Contest, Groups, Row
from s3tui.runs.status import Done
from s3tui.runs.workspace import FoundRun

Seeds = dict[int, float]
Group = Sequence[FoundRun]

# The 97.5 % quantiles of Student's t distribution for 1, 2, ... degrees of freedom, and that of the normal one.
STUDENT = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
    2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
NORMAL = 1.960


@dataclass(frozen=True)
class Gain:
    """The mean difference of scores to `baseline`, and its 95 % interval.

    `pairs` is the number of common seeds, over which the difference is taken; 0 if there are fewer than two, in which
    case it is that of the means over all runs. `over` says what the interval covers: `seeds`, where both have two runs
    or more; `rows` of the test split, where predictions or standard errors of both are known; both of these where they
    share two seeds and kept predictions; empty where there is no interval.
    """

    baseline: str
    difference: float
    interval: Interval | None
    pairs: int
    over: Literal["seeds and rows", "seeds", "rows", ""]

    @property
    def within_noise(self) -> bool:
        """Whether the interval covers 0: the sign of the difference may be chance."""
        return self.interval is not None and self.interval[0] <= 0 <= self.interval[1]


def gains(rows: Groups) -> Iterator[Gain | None]:
    """The gain of each row, one by one; None for baselines, and if there is no baseline at its budget."""
    best: dict[tuple[Contest, int | None], tuple[Row, Group]] = {}  # contest by contest, the best score comes first
    for row, group in rows:
        if method_of(row.method).baseline:
            best.setdefault((row.contest, row.budget), (row, group))
    return (_gain(row, group, best.get((row.contest, row.budget))) for row, group in rows)


def _gain(row: Row, group: Group, baseline: tuple[Row, Group] | None) -> Gain | None:
    method = method_of(row.method)
    if row.budget is None or method.baseline or method.budget == "ignored" or baseline is None:
        return None
    return between((row, group), baseline)


def between(ours: tuple[Row, Group], theirs: tuple[Row, Group]) -> Gain:
    """The difference of two rows."""
    (row, group), (other, members) = ours, theirs
    mine, others = ({run.spec.get("seed", 0): run for run in runs} for runs in (group, members))
    common = sorted(mine.keys() & others.keys())
    pairs = [(mine[seed].directory, others[seed].directory) for seed in common]
    rows = row_variance(row.metric, pairs) if pairs else None
    errors = row.standard_error, other.standard_error
    return gain(other.experiment, _by_seed(group), _by_seed(members), errors, rows)


def _by_seed(group: Group) -> Seeds:
    return {run.spec.get("seed", 0): run.status.result.score for run in group if isinstance(run.status, Done)}


def gain(
    baseline: str,
    ours: Seeds,
    theirs: Seeds,
    errors: tuple[float | None, float | None] = (None, None),
    rows: float | None = None,
) -> Gain:
    """The gain of one method over another, given their scores by seed, and the standard errors over test rows.

    `rows` is the variance of the difference over test rows, from predictions of common seeds for the same rows. Over
    common seeds, the variance of the mean difference is that between seeds / their number, plus `rows`, if it is known:
    seeds share the test rows, so their number does not make `rows` smaller. The interval is Student's, with the degrees
    of freedom of that sum (Satterthwaite). Over other seeds it is Welch's. With one run each, it is of `rows`; without
    that, of both standard errors as if they were independent, which is rather too wide than too narrow.
    """
    common = sorted(ours.keys() & theirs.keys())
    if len(common) > 1:
        return _over_seeds(baseline, [ours[seed] - theirs[seed] for seed in common], rows)
    a, b = list(ours.values()), list(theirs.values())
    difference = statistics.fmean(a) - statistics.fmean(b)
    if min(len(a), len(b)) > 1:
        return Gain(baseline, difference, _around(difference, *_welch(a, b)), 0, "seeds")
    if rows is not None and len(a) == len(b) == 1:
        return Gain(baseline, difference, _around(difference, rows, math.inf), 0, "rows")
    if None in errors:
        return Gain(baseline, difference, None, 0, "")
    variance = sum(error**2 for error in errors if error is not None)
    return Gain(baseline, difference, _around(difference, variance, math.inf), 0, "rows")


def _over_seeds(baseline: str, differences: Sequence[float], rows: float | None) -> Gain:
    """The gain over common seeds, of which these are the differences."""
    difference, freedom = statistics.fmean(differences), float(len(differences) - 1)
    variance = statistics.variance(differences) / len(differences)
    if rows is None:
        return Gain(baseline, difference, _around(difference, variance, freedom), len(differences), "seeds")
    whole = variance + rows
    freedom = whole**2 * freedom / variance**2 if variance else math.inf
    return Gain(baseline, difference, _around(difference, whole, freedom), len(differences), "seeds and rows")


def _welch(a: Sequence[float], b: Sequence[float]) -> tuple[float, float]:
    """The variance of the difference of means, and its degrees of freedom (Welch and Satterthwaite)."""
    parts = [(statistics.variance(values) / len(values), len(values) - 1) for values in (a, b)]
    variance = sum(part for part, _ in parts)
    uncertainty = sum(part**2 / freedom for part, freedom in parts)
    return variance, variance**2 / uncertainty if uncertainty else math.inf


def _around(difference: float, variance: float, freedom: float) -> Interval:
    half = quantile(freedom) * math.sqrt(variance)
    return difference - half, difference + half


def quantile(freedom: float) -> float:
    """The 97.5 % quantile of Student's t distribution; that of the next smaller whole number of degrees of freedom."""
    if freedom < len(STUDENT) + 1:
        return STUDENT[max(0, math.floor(freedom) - 1)]
    return NORMAL + (NORMAL**3 + NORMAL) / (4 * freedom)  # the first term of its expansion (Cornish and Fisher)
