"""Replays races with collected runs: what they would have chosen, and what a method alone would have at equal compute.

An arm that stops at a rung is, up to there, bit for bit the run that goes on, as the schedule of its learning rate is
that of the whole length (docs/race.md). So races among runs of the whole length are replayed from their curves, with
the function that decides real ones. Every seed is a race of its own, among the methods of `proof.METHODS` at their
common rates.

Each method alone has the same compute: as many of its runs, rate by rate, as that pays for, each trained to the end;
the best of them on validation is tested. What is then left buys the same with further seeds, in a second account, whose
seeds share runs and so are not independent. Confirmations are left out of all.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from evidence import Arm as Compared
from evidence import Evidence, Run
from proof import METHODS, sweep

from core.run.methods import method_of
from s3tui.race.decide import Arm, decide
from s3tui.race.record import Rules

# Steps of retraining that take as long as one of the search, all candidates attached, with one pass or two, and as all
# of saliency. Measured on the collected runs: 1.2 to 1.5, 3.0 to 3.8, and 34 to 127 with a median of 46.
ONE_LEVEL_STEP, TWO_LEVELS_STEP, SALIENCY = 4 / 3, 10 / 3, 50
RACE = "race"


@dataclass(frozen=True)
class Entrant:
    """A collected run as an arm: whose it is, what it searched, its validation scores by step, and its test score.

    `name` is that of its method, with its rate. `steps` is what the search cost, in steps of retraining; who searches
    the same pays for it once.
    """

    name: str
    way: str
    searched: str
    steps: int
    scores: Mapping[int, float]
    test: float

    @property
    def length(self) -> int:
        """The steps of its retraining."""
        return max(self.scores)

    def best(self, step: int) -> float:
        """The best score on validation up to a step, which is what a race compares."""
        return max(score for at, score in self.scores.items() if at <= step)


@dataclass(frozen=True)
class Outcome:
    """A test score in points, and the steps that it has cost."""

    score: float
    steps: int


def search_steps(arm: Compared) -> int:
    """What finding its structure costs, in steps of retraining."""
    if not method_of(arm.method).learns:
        return SALIENCY if method_of(arm.method).searches else 0
    search = arm.spec().search
    return round((TWO_LEVELS_STEP if search.bilevel else ONE_LEVEL_STEP) * (search.max_steps or 0))


def entrants(evidence: Evidence, task: str) -> dict[int, list[Entrant]]:
    """The runs of a task by seed: of each method, rate by rate."""
    found: dict[int, list[Entrant]] = defaultdict(list)
    rates = sweep(evidence, task)
    for arm in METHODS:
        # The criteria of saliency are two arms of one method.
        way = f"`{arm.method}`" if method_of(arm.method).searches else arm.title
        for value, runs in rates.get(arm.title, {}).items():
            for seed, run in runs.items():
                searched = f"{arm.title} {seed}" if method_of(arm.method).searches else ""
                found[seed].append(_entrant(run, f"{arm.title} at {value:g}", way, searched, search_steps(arm)))
    return dict(sorted(found.items()))


def _entrant(run: Run, name: str, way: str, searched: str, steps: int) -> Entrant:
    scores = {step: score for phase, step, score in run["curve"] if phase == "retrain"}
    return Entrant(name, way, searched, steps, scores, run["test"])


def searches(runs: Sequence[Entrant]) -> list[int]:
    """What the search of each run costs, in their order: nothing where an earlier one has searched the same."""
    first = {run.searched: i for i, run in reversed(list(enumerate(runs)))}
    return [run.steps if first[run.searched] == i else 0 for i, run in enumerate(runs)]


def race(rules: Rules, runs: Sequence[Entrant]) -> Outcome:
    """The finalist that is best on validation, and the steps that the race has taken."""
    first = rules.rungs[0]
    arms = [
        Arm(str(i), "waits", first, {first: run.best(first)}, search)
        for i, (run, search) in enumerate(zip(runs, searches(runs), strict=True))
    ]
    while promoted := decide(rules, arms, ()).promote:
        for name, step in promoted.items():
            scores = {**arms[int(name)].scores, step: runs[int(name)].best(step)}
            arms[int(name)] = replace(arms[int(name)], limit=step, scores=scores)
    finalists = [runs[int(name)] for name in decide(rules, arms, ()).finalists]
    winner = max(finalists, key=lambda run: run.best(rules.rungs[-1]))
    return Outcome(100 * winner.test, sum(arm.search_steps + arm.limit for arm in arms))


def alone(runs: Sequence[Entrant], steps: int) -> Outcome | None:
    """The best on validation of as many runs of one method as the steps pay for; None if they pay for none."""
    costs = itertools.accumulate(search + run.length for run, search in zip(runs, searches(runs), strict=True))
    paid = [(run, cost) for run, cost in zip(runs, costs, strict=True) if cost <= steps]
    if not paid:
        return None
    return Outcome(100 * max((run for run, _ in paid), key=lambda run: run.best(run.length)).test, paid[-1][1])


def races(
    rules: Rules, by_seed: Mapping[int, Sequence[Entrant]], further: bool = False
) -> dict[str, dict[int, Outcome]]:
    """What came of the race and of each method alone, by way and seed; `further`: alone goes on with other seeds."""
    found: dict[str, dict[int, Outcome]] = defaultdict(dict)
    for seed, runs in by_seed.items():
        found[RACE][seed] = race(rules, runs)
        others = [run for other, more in by_seed.items() if further and other != seed for run in more]
        for way in dict.fromkeys(run.way for run in runs):
            mine = [run for run in (*runs, *others) if run.way == way]
            outcome = alone(mine, found[RACE][seed].steps)
            if outcome is not None:
                found[way][seed] = outcome
    return found


def replayed(rules: Rules, evidence: Evidence, task: str, further: bool = False) -> dict[str, dict[int, Outcome]]:
    """The races of a task, over the seeds at which at least two methods have a run at every rung."""
    whole = complete(rules, entrants(evidence, task))
    return races(rules, {s: runs for s, runs in whole.items() if len({run.way for run in runs}) > 1}, further)


def complete(rules: Rules, by_seed: Mapping[int, Sequence[Entrant]]) -> dict[int, list[Entrant]]:
    """The runs that have a score at every rung."""
    return {seed: [run for run in runs if set(rules.rungs) <= set(run.scores)] for seed, runs in by_seed.items()}
