"""Replays races with collected runs: what they would have chosen, and what a method alone would have at equal compute.

An arm that stops at a rung is, up to there, bit for bit the run that goes on, as the schedule of its learning rate is
that of the whole length (docs/race.md). So races among runs of the whole length are replayed from their curves, with
the function that decides real ones. Every seed is a race of its own, among all runs of that seed and length.

Each method alone has the same compute: as many of its runs, in the order of the file, as that pays for, each trained to
the end; the best of them on validation is tested. Confirmations are left out of both.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from s3tui.race.decide import Arm, decide
from s3tui.race.record import Rules

Run = Mapping[str, Any]
# Steps of retraining that take as long as one of the search, with two passes and all candidates attached.
SEARCH_STEP = 10 / 3


@dataclass(frozen=True)
class Entrant:
    """A collected run as an arm: its method, what it searched, its scores on validation by step, and on the test split.

    `steps` is what the search cost, in steps of retraining; who searches the same pays for it once.
    """

    method: str
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


def entrants(table: Mapping[str, Any], precision: str, length: int) -> dict[int, list[Entrant]]:
    """The runs of a task with this many steps of retraining, by seed."""
    found: dict[int, list[Entrant]] = defaultdict(list)
    for run in table["runs"]:
        entrant = _entrant(run, table["arms"][run["arm"]])
        if run["precision"] == precision and entrant.length == length:
            found[run["seed"]].append(entrant)
    return found


def _entrant(run: Run, arm: Mapping[str, Any]) -> Entrant:
    scores = {step: score for phase, step, score in run["curve"] if phase == "retrain"}
    kept = {key: value for key, value in arm["settings"].items() if not key.startswith("retrain.")}
    steps = 0 if arm["method"] == "saliency" else kept.get("search.max_steps", 0)
    return Entrant(arm["method"], f"{arm['method']} {kept}", round(SEARCH_STEP * steps), scores, run["test"])


def searches(runs: Sequence[Entrant]) -> list[int]:
    """What the search of each run costs, in their order: nothing where an earlier one has searched the same."""
    first = {run.searched: i for i, run in reversed(list(enumerate(runs)))}
    return [run.steps if first[run.searched] == i else 0 for i, run in enumerate(runs)]


def race(rules: Rules, runs: Sequence[Entrant]) -> tuple[Entrant, int]:
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
    return winner, sum(arm.search_steps + arm.limit for arm in arms)


def alone(runs: Sequence[Entrant], steps: int) -> Entrant | None:
    """The best on validation of as many runs of one method as the steps pay for; None if they pay for none."""
    costs = itertools.accumulate(search + run.length for run, search in zip(runs, searches(runs), strict=True))
    paid = [run for run, cost in zip(runs, costs, strict=True) if cost <= steps]
    return max(paid, key=lambda run: run.best(run.length), default=None)


def replayed(rules: Rules, runs: Sequence[Entrant]) -> dict[str, float]:
    """The test score of the race among runs of one seed, and of each method alone at the same compute, in points."""
    winner, steps = race(rules, runs)
    scores = {"race": 100 * winner.test}
    for method in dict.fromkeys(run.method for run in runs):
        found = alone([run for run in runs if run.method == method], steps)
        if found is not None:
            scores[method] = 100 * found.test
    return scores


def races(rules: Rules, table: Mapping[str, Any], precision: str) -> dict[str, dict[int, float]]:
    """The scores of a task by way and seed: of races of at least two methods, and of each method alone."""
    found: dict[str, dict[int, float]] = defaultdict(dict)
    for seed, runs in sorted(entrants(table, precision, rules.rungs[-1]).items()):
        arms = [run for run in runs if set(rules.rungs) <= set(run.scores)]
        if len({run.method for run in arms}) > 1:
            for way, score in replayed(rules, arms).items():
                found[way][seed] = score
    return found
