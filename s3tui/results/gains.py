"""The gain of a searched structure over the best baseline at the same budget, paired by seed if possible."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.run.comparing import RESAMPLES, Interval, percentiles
from core.run.methods import method_of
from s3tui.results.summary import Row, grouped
from s3tui.runs.status import Done
from s3tui.runs.workspace import FoundRun

Seeds = dict[int, float]


@dataclass(frozen=True)
class Gain:
    """The mean difference of scores to `baseline`, and its 95 % bootstrap interval (None if a row has one run).

    `pairs` is the number of common seeds, over which the difference is taken; 0 if there are fewer than two, in which
    case both are resampled independently.
    """

    baseline: str
    difference: float
    interval: Interval | None
    pairs: int


def with_gains(runs: Sequence[FoundRun], seed: int = 0) -> list[tuple[Row, Gain | None]]:
    """The rows of finished runs, each with its gain; None for baselines, and if there is no baseline at its budget."""
    rows = grouped(runs)
    return [(row, _gain(row, group, rows, seed)) for row, group in rows]


def _gain(row: Row, group: Sequence[FoundRun], rows: list[tuple[Row, list[FoundRun]]], seed: int) -> Gain | None:
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
    best, members = max(baselines, key=lambda pair: pair[0].score_mean)
    return gain(best.experiment, _by_seed(group), _by_seed(members), seed)


def _by_seed(group: Sequence[FoundRun]) -> Seeds:
    return {run.spec.get("seed", 0): run.status.result.score for run in group if isinstance(run.status, Done)}


def gain(baseline: str, ours: Seeds, theirs: Seeds, seed: int = 0) -> Gain:
    """The gain of one method over another, given their scores by seed."""
    place = random.Random(seed)
    common = sorted(ours.keys() & theirs.keys())
    if len(common) > 1:
        differences = [ours[s] - theirs[s] for s in common]
        interval = _bootstrap(lambda: _resampled(differences, place))
        return Gain(baseline, statistics.fmean(differences), interval, len(common))
    a, b = list(ours.values()), list(theirs.values())
    difference = statistics.fmean(a) - statistics.fmean(b)
    if min(len(a), len(b)) < 2:
        return Gain(baseline, difference, None, 0)
    return Gain(baseline, difference, _bootstrap(lambda: _resampled(a, place) - _resampled(b, place)), 0)


def _resampled(values: Sequence[float], place: random.Random) -> float:
    return statistics.fmean(place.choices(values, k=len(values)))


def _bootstrap(draw: Callable[[], float]) -> Interval:
    return percentiles([draw() for _ in range(RESAMPLES)])
