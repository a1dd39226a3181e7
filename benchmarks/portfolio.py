"""With which arms should a race begin? Chosen by data: one after the other, each time that with which races do best.

How well a portfolio does is the mean over tasks, and over the seeds of each, of what the winner of a replayed race
among its arms scores on the test split, less what the winner of the race among all arms does. Chosen so, a portfolio
fits the tasks that it was chosen by, so the same is measured on each task with the portfolio that the others choose.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache

from cells import markdown
from evidence import Evidence
from proof import TASKS
from race_tables import RULES
from replay import Entrant, Outcome, complete, entrants, race

Portfolio = tuple[str, ...]  # names of arms
Races = Mapping[str, Sequence[Sequence[Entrant]]]  # by task: the arms of each seed
MOST = 8  # arms of a portfolio


def known_races(evidence: Evidence) -> dict[str, list[list[Entrant]]]:
    """The races of each task among the arms that more than half of all tasks have, one for each seed that has them all.

    A task that lacks one of these arms is left out.
    """
    by_task = {task: complete(RULES, entrants(evidence, task)).values() for task in TASKS if task in evidence.tasks}
    offered = Counter(name for seeds in by_task.values() for name in {run.name for runs in seeds for run in runs})
    common = {name for name, tasks in offered.items() if 2 * tasks > len(by_task)}
    found = {task: [[run for run in runs if run.name in common] for runs in seeds] for task, seeds in by_task.items()}
    whole = {task: [runs for runs in seeds if len(runs) == len(common)] for task, seeds in found.items()}
    return {task: seeds for task, seeds in whole.items() if seeds}


class Judge:
    """Replays races among portfolios."""

    def __init__(self, races: Races) -> None:
        self.races = races
        self.arms = tuple(dict.fromkeys(run.name for seeds in self.races.values() for runs in seeds for run in runs))
        self.outcomes = cache(self._outcomes)

    def _outcomes(self, portfolio: frozenset[str], task: str) -> tuple[Outcome, ...]:
        return tuple(race(RULES, [run for run in runs if run.name in portfolio]) for runs in self.races[task])

    def score(self, portfolio: Portfolio, task: str) -> float:
        """Of a task, in points."""
        return statistics.fmean(one.score for one in self.outcomes(frozenset(portfolio), task))

    def gap(self, portfolio: Portfolio, tasks: Sequence[str]) -> float:
        """The mean difference to the race among all arms."""
        return statistics.fmean(self.score(portfolio, task) - self.score(self.arms, task) for task in tasks)

    def steps(self, portfolio: Portfolio, tasks: Sequence[str]) -> float:
        """The mean of what a race takes."""
        return statistics.fmean(o.steps for task in tasks for o in self.outcomes(frozenset(portfolio), task))

    def chosen(self, size: int, tasks: Sequence[str]) -> Portfolio:
        """The portfolio that these tasks choose; of equally good arms the first."""
        found: Portfolio = ()
        while len(found) < min(size, len(self.arms)):
            rest = [arm for arm in self.arms if arm not in found]
            found = (*found, max(rest, key=lambda arm: self.gap((*found, arm), tasks)))
        return found


def portfolios(evidence: Evidence) -> str:
    """Portfolios of rising size, with what they lose on the tasks that chose them, and on a task that had no say."""
    judge = Judge(known_races(evidence))
    tasks = tuple(judge.races)
    if len(tasks) < 3:
        return markdown(["tasks are too few"], [])
    order = judge.chosen(MOST, tasks)
    without = {task: judge.chosen(MOST, [other for other in tasks if other != task]) for task in tasks}
    rows = [[str(n), arm, *_cells(judge, order, without, n)] for n, arm in enumerate(order, 1)]
    every = [str(len(judge.arms)), "all", "0.0", "0.0", f"{judge.steps(judge.arms, tasks):,.0f}"]
    return markdown(["arms", "the last of them", "to all arms", "on a task left out", "steps"], [*rows, every])


def _cells(judge: Judge, order: Portfolio, without: Mapping[str, Portfolio], size: int) -> list[str]:
    """Of the first arms of an order by all tasks, and of the orders without each task."""
    tasks, first = tuple(without), order[:size]
    left_out = statistics.fmean(judge.gap(others[:size], [task]) for task, others in without.items())
    return [f"{judge.gap(first, tasks):+.1f}", f"{left_out:+.1f}", f"{judge.steps(first, tasks):,.0f}"]
