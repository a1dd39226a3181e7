"""The tables of docs/race.md: replayed races, and each method alone at the compute of the race."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from cells import cell, difference, markdown
from evidence import Evidence, Seeds
from proof import METHODS, TASKS
from replay import RACE, Outcome, replayed, search_steps

from s3tui.race.record import Rules

RULES = Rules((150, 300), final=1)
LONGER = 600  # steps of retraining, of which some tasks have runs at the rate of the default suite
Outcomes = Mapping[int, Outcome]  # by seed
Found = Mapping[str, Mapping[str, Outcomes]]  # by task and way


def raced(evidence: Evidence) -> str:
    """The race and each method alone by task, with the difference to the race, and the mean of the steps they took."""
    found = _races(evidence)
    rows = [[_title(way), *_cells(found, way), _steps(found, way)] for way in _ways(found)]
    for arm in METHODS:
        longer = arm.changed({"retrain.max_steps": LONGER})
        scores = {task: evidence.scores(longer, task) for task in found}
        if any(scores.values()):
            cells = [_cell(mine, found[task]) for task, mine in scores.items()]
            rows.append([f"{arm.title} alone, {LONGER} steps at 1e-2", *cells, f"{search_steps(arm) + LONGER:,}"])
    return markdown(["", *found, "steps"], rows)


def raced_on(evidence: Evidence) -> str:
    """The same where each method alone goes on with further seeds: mean differences to the race, without intervals."""
    found = _races(evidence, further=True)
    rows = [
        [_title(way), *(_mean(ways.get(way, {}), ways[RACE]) for ways in found.values()), _steps(found, way)]
        for way in _ways(found)
        if way != RACE
    ]
    return markdown(["", *found, "steps"], rows)


def _races(evidence: Evidence, further: bool = False) -> Found:
    found = {task: replayed(RULES, evidence, task, further) for task in TASKS if task in evidence.tasks}
    return {task: ways for task, ways in found.items() if ways}


def _ways(found: Found) -> list[str]:
    return list(dict.fromkeys(way for ways in found.values() for way in ways))


def _title(way: str) -> str:
    return "**race**" if way == RACE else f"{way} alone"


def _cells(found: Found, way: str) -> list[str]:
    return [_cell(_scores(ways.get(way, {})), ways) for ways in found.values()]


def _cell(scores: Seeds, ways: Mapping[str, Outcomes]) -> str:
    return f"{cell(scores)} {difference(scores, _scores(ways[RACE]))}".strip()


def _scores(outcomes: Outcomes) -> Seeds:
    return {seed: one.score for seed, one in outcomes.items()}


def _steps(found: Found, way: str) -> str:
    """The mean over tasks and seeds."""
    return f"{statistics.fmean(one.steps for ways in found.values() for one in ways.get(way, {}).values()):,.0f}"


def _mean(ours: Outcomes, theirs: Outcomes) -> str:
    """The mean difference over common seeds; empty without any."""
    common = ours.keys() & theirs.keys()
    return f"{statistics.fmean(ours[seed].score - theirs[seed].score for seed in common):+.1f}" if common else ""
