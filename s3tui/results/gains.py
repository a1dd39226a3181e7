"""The gain of a searched structure over the best baseline at the same budget, paired by seed if possible."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from core.run.comparing import Interval
from core.run.methods import method_of
from s3tui.results.summary import Row, grouped
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
    or more; `rows` of the test split, where the standard errors of both are known; empty where there is no interval.
    """

    baseline: str
    difference: float
    interval: Interval | None
    pairs: int
    over: Literal["seeds", "rows", ""]

    @property
    def within_noise(self) -> bool:
        """Whether the interval covers 0: the sign of the difference may be chance."""
        return self.interval is not None and self.interval[0] <= 0 <= self.interval[1]


def with_gains(runs: Sequence[FoundRun]) -> list[tuple[Row, Gain | None]]:
    """The rows of finished runs, each with its gain; None for baselines, and if there is no baseline at its budget."""
    rows = grouped(runs)
    return [(row, _gain(row, group, rows)) for row, group in rows]


def _gain(row: Row, group: Group, rows: Sequence[tuple[Row, Group]]) -> Gain | None:
    method = method_of(row.method)
    if row.budget is None or method.baseline or method.budget == "ignored":
        return None
    baselines = [
        (other, members)
        for other, members in rows
        if method_of(other.method).baseline and (other.contest, other.budget) == (row.contest, row.budget)
    ]
    if not baselines:
        return None
    return between((row, group), max(baselines, key=lambda pair: pair[0].score_mean))


def between(ours: tuple[Row, Group], theirs: tuple[Row, Group]) -> Gain:
    """The difference of two rows."""
    (row, group), (other, members) = ours, theirs
    errors = row.standard_error, other.standard_error
    return gain(other.experiment, _by_seed(group), _by_seed(members), errors)


def _by_seed(group: Group) -> Seeds:
    return {run.spec.get("seed", 0): run.status.result.score for run in group if isinstance(run.status, Done)}


def gain(baseline: str, ours: Seeds, theirs: Seeds, errors: tuple[float | None, float | None] = (None, None)) -> Gain:
    """The gain of one method over another, given their scores by seed, and the standard errors over test rows.

    Over common seeds the interval is Student's for paired differences; over others Welch's. That over rows takes the
    two scores as independent, though both are of the same rows, so it is rather too wide than too narrow.
    """
    common = sorted(ours.keys() & theirs.keys())
    if len(common) > 1:
        differences = [ours[s] - theirs[s] for s in common]
        difference, freedom = statistics.fmean(differences), float(len(common) - 1)
        variance = statistics.variance(differences) / len(common)
        return Gain(baseline, difference, _around(difference, variance, freedom), len(common), "seeds")
    a, b = list(ours.values()), list(theirs.values())
    difference = statistics.fmean(a) - statistics.fmean(b)
    if min(len(a), len(b)) > 1:
        return Gain(baseline, difference, _around(difference, *_welch(a, b)), 0, "seeds")
    if None in errors:
        return Gain(baseline, difference, None, 0, "")
    variance = sum(error**2 for error in errors if error is not None)
    return Gain(baseline, difference, _around(difference, variance, math.inf), 0, "rows")


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
