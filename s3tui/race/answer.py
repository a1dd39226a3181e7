"""The answer of a race: which structure to train, by how much it is the best, and how sure that is.

The winner is chosen by the validation scores of its confirmations; the test scores only say how good it is, so that
they are not those of the luckiest.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from s3tui.race.decide import Arm
from s3tui.results.gains import Gain, gain
from s3tui.results.rank_correlation import kendall
from s3tui.runs.records.result import Result

Results = Mapping[int, Result]  # of the confirmations of an arm, by seed


@dataclass(frozen=True)
class Finalist:
    """A confirmed arm: mean scores over its fresh seeds, and the sample standard deviation of the test score.

    `parameters` is the mean of what was trained. `best` is the seed with the best validation score.
    """

    arm: str
    validation: float
    test: float
    test_std: float | None
    seeds: int
    parameters: int
    best: int
    metric: str


@dataclass(frozen=True)
class Answer:
    """What a race has found. `ranking` are the finalists, the winner first.

    `margin` is the difference of test scores from the winner to the runner-up, None if there is none. `cheapest` is the
    arm with the fewest parameters among the winner and those whose difference to it is within noise. `tau` is Kendall's
    tau-b between the scores at the first and at the last rung of the `tau_arms` arms that have both, None where it is
    not defined.
    """

    ranking: tuple[Finalist, ...]
    margin: Gain | None
    cheapest: str
    tau: float | None
    tau_arms: int


def answer_of(arms: Sequence[Arm], results: Mapping[str, Results], rungs: Sequence[int]) -> Answer | None:
    """The answer that follows from the results of confirmations; None without any. Ties go to the earlier arm."""
    order = {arm.name: i for i, arm in enumerate(arms)}
    ranking = [_finalist(arm, found) for arm, found in results.items() if found]
    ranking.sort(key=lambda one: (-one.validation, order[one.arm]))
    if not ranking:
        return None
    gains = {one.arm: _gain(results[ranking[0].arm], results[one.arm], one.arm) for one in ranking[1:]}
    close = [ranking[0], *(one for one in ranking[1:] if gains[one.arm].within_noise)]
    cheapest = min(close, key=lambda one: (one.parameters, ranking.index(one)))
    both = [arm for arm in arms if {rungs[0], rungs[-1]} <= arm.scores.keys()]
    tau = kendall(*([arm.scores[rung] for arm in both] for rung in (rungs[0], rungs[-1])))
    margin = gains[ranking[1].arm] if len(ranking) > 1 else None
    return Answer(tuple(ranking), margin, cheapest.arm, tau, len(both))


def _finalist(arm: str, found: Results) -> Finalist:
    scores = [result.score for result in found.values()]
    validations = {seed: _validation(result) for seed, result in found.items()}
    return Finalist(
        arm=arm,
        validation=statistics.fmean(validations.values()),
        test=statistics.fmean(scores),
        test_std=statistics.stdev(scores) if len(scores) > 1 else None,
        seeds=len(scores),
        parameters=round(statistics.fmean(result.parameters for result in found.values())),
        best=max(sorted(validations), key=lambda seed: validations[seed]),
        metric=next(iter(found.values())).metric,
    )


def _validation(result: Result) -> float:
    return next(iter(result.validation.values()), -math.inf)


def _gain(ours: Results, theirs: Results, name: str) -> Gain:
    """The difference of test scores of two arms, paired over common seeds."""
    return gain(name, _scores(ours), _scores(theirs), (_error(ours), _error(theirs)))


def _scores(found: Results) -> dict[int, float]:
    return {seed: result.score for seed, result in found.items()}


def _error(found: Results) -> float | None:
    """The mean standard error of a test score over rows; None if one is not known."""
    known = [result.standard_error for result in found.values() if result.standard_error is not None]
    return statistics.fmean(known) if len(known) == len(found) else None
