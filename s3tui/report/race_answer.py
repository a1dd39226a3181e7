"""The answer of a race in words, and how its arms stand as a table or JSON."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

from core.run.errors import S3Error
from s3tui.race.answer import Answer, Finalist
from s3tui.race.decide import Arm, Place
from s3tui.race.facts import answer, arms_of, compute
from s3tui.results.gains import Gain
from s3tui.scheduling.races import Race, ordinal
from s3tui.structures.load import heatmap, of_run
from s3tui.structures.text_map import map_lines
from s3tui.text.units import count, duration, points

DEFAULT = "runs"  # the workspace that commands take without --in
MOST_NAMED = 3  # arms in a sentence
MAP_WIDTH = 10_000  # columns of the map of a structure: nothing is wrapped or cut


def lines(race: Race, workspace: Path) -> Iterator[str]:
    """The answer in five lines, the map of the structure before the last; without an answer, how the race stands."""
    yield from answer_lines(race)
    found = answer(race.record, race.runs)
    if found is None or not race.decision.over:
        return
    winner = found.ranking[0]
    best = f"{race.suite}/{race.record.confirmation(winner.arm, winner.best)}"
    yield from _map(race, winner.arm)
    where = [] if workspace == Path(DEFAULT).resolve() else ["--in", os.path.relpath(workspace)]
    yield f"Next: {shlex.join(['s3tui', 'export', best, *where, '-o', 'trained'])}"


def answer_lines(race: Race) -> Iterator[str]:
    """The answer in four lines; without one, how the race stands."""
    found = answer(race.record, race.runs)
    if found is None or not race.decision.over:
        yield from _unfinished(race)
        return
    winner = found.ranking[0]
    yield f"Train {short_name(winner.arm)}: it wins the race {race.name}, {_score(winner)}"
    yield _runner_up(found)
    yield _cheapest(found)
    yield _compute(race, found)


def _unfinished(race: Race) -> Iterator[str]:
    """How a race stands that has no answer."""
    decision = race.decision
    fates = [place.fate for place in decision.places.values()]
    if decision.halted:
        more = len(decision.halted) - MOST_NAMED
        stopped = ", ".join(decision.halted[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
        yield f"The race {race.name} waits for what was stopped: {stopped}; s3tui resume goes on, s3tui cancel drops it"
    elif decision.over:
        yield f"The race {race.name} has no answer: {_failed(race)} of {len(fates)} arms failed, none is confirmed"
    else:
        counts = ", ".join(f"{fates.count(fate)} {fate}" for fate in dict.fromkeys(fates))
        yield f"The race {race.name} is under way: {counts}{'; its budget is spent' if decision.spent else ''}"
    if not decision.over:
        yield _so_far(race)


def _so_far(race: Race) -> str:
    """The compute of a race that is not over."""
    taken = compute(race.record, race.runs, race.decision)
    left = "" if taken.left_seconds is None else f", about {duration(taken.left_seconds)}"
    spent = f"{taken.steps:,} steps of search and training, {duration(taken.seconds)}"
    return f"Compute so far: {spent}; at most {taken.left_steps:,} steps are left{left}"


def _failed(race: Race) -> int:
    return sum(place.fate == "lost" for place in race.decision.places.values())


def short_name(arm: str) -> str:
    """An arm without the name of its experiment."""
    return arm.rpartition("/")[2]


def values_of(arm: str) -> str:
    """The values in which an arm differs from others, without their names."""
    return ", ".join(part.partition("=")[2] for part in short_name(arm).split(","))


def _score(one: Finalist) -> str:
    spread = "" if one.test_std is None else f" ± {points(one.test_std)}"
    seeds = f"{one.seeds} fresh seed{'' if one.seeds == 1 else 's'}"
    return f"{one.metric} {points(one.test)}{spread} on the test split over {seeds}, {count(one.parameters)} parameters"


def _runner_up(found: Answer) -> str:
    if found.margin is None:
        return "Runner-up: none was confirmed"
    other = found.ranking[1]
    return f"Runner-up {short_name(other.arm)}: {points(other.test)}; the winner has {_margin(found.margin)}"


def _margin(gain: Gain) -> str:
    text = f"{100 * gain.difference:+.2f} points"
    if gain.interval is None:
        return f"{text}, not known how sure"
    over = f"paired over {gain.pairs} seeds" if gain.pairs else f"over {gain.over}"
    sure = "within noise" if gain.within_noise else "more than noise"
    return f"{text} [{100 * gain.interval[0]:+.2f}, {100 * gain.interval[1]:+.2f}] (95 %, {over}): {sure}"


def _cheapest(found: Answer) -> str:
    one = next(one for one in found.ranking if one.arm == found.cheapest)
    what = "the winner" if one is found.ranking[0] else short_name(one.arm)
    return f"Fewest parameters within noise: {what}, {count(one.parameters)}"


def _compute(race: Race, found: Answer) -> str:
    taken = compute(race.record, race.runs, race.decision)
    show = shlex.join(["s3tui", "race", "show", race.name])
    failed = f", of which {_failed(race)} failed or were cancelled ({show} says why)" if _failed(race) else ""
    ended = "; it was ended by hand" if race.record.hand.ended else ""
    ended = ended or ("; its budget ended it" if race.decision.spent else "")
    spent = f"{taken.steps:,} steps of search and training, {duration(taken.seconds)}{ended}"
    if found.tau is not None and found.tau_arms > 2:
        spent += f"; first and last rung agree with Kendall's tau {found.tau:.2f} ({found.tau_arms} arms)"
    return f"Compute: {len(race.record.arms)} arms{failed}, {spent}"


def _map(race: Race, arm: str) -> Iterator[str]:
    """The map of an arm's structure; nothing where all of the model was trained."""
    try:
        structure = of_run(race.runs[arm].directory, arm).structure
    except S3Error:
        return
    if structure.candidates:
        yield from map_lines(heatmap([structure]), MAP_WIDTH)


def table(race: Race) -> list[list[str]]:
    """How each arm stands: the best of those that came farthest first."""
    head = ["#", "arm", "step", "rank", "validation", "steps", "time", "state"]
    arms = {arm.name: arm for arm in arms_of(race.record, race.runs)}
    places = sorted(race.decision.places.items(), key=lambda pair: (-pair[1].step, pair[1].rank))
    rows = []
    for name, place in places:
        arm = arms[name]
        rank = f"{ordinal(place.rank)} of {place.of}" if place.step else "-"
        score = points(arm.scores[place.step]) if place.step else "-"
        fate = ": ".join(filter(None, (_state(arm, place), by_hand(race, name), why_lost(race, name))))
        number = str(race.record.arms.index(name))
        rows.append(
            [number, short_name(name), str(place.step), rank, score, count(arm.steps), duration(arm.seconds), fate]
        )
    return [head, *rows]


def _state(arm: Arm, place: Place) -> str:
    """What becomes of an arm; of one under way also whether it was stopped, or has yet to begin."""
    if place.fate != "under way":
        return place.fate
    return "stopped" if arm.state == "held" else "under way" if arm.begun else "not begun"


def why_lost(race: Race, arm: str) -> str:
    """What took an arm out of the race, where that was no decision of the race."""
    if race.decision.places[arm].fate != "lost":
        return ""
    run = race.runs.get(arm)
    return "its directory is gone" if run is None else run.status.note or run.status.name


def by_hand(race: Race, arm: str) -> str:
    """What was decided of an arm by hand."""
    hand = race.record.hand
    return "by hand" if arm in hand.dropped else "kept by hand" if arm in hand.kept else ""


def as_json(race: Race) -> dict[str, Any]:
    """The race with its rules, arms and answer, numbers unrounded."""
    decision, found = race.decision, answer(race.record, race.runs)
    arms = [
        {
            "name": arm.name,
            **asdict(decision.places[arm.name]),
            "state": arm.state,
            "limit": arm.limit,
            "scores": {str(step): score if isfinite(score) else None for step, score in arm.scores.items()},
            "steps": arm.steps,
            "seconds": arm.seconds,
            "lost": why_lost(race, arm.name),
            "kept_by_hand": arm.name in race.record.hand.kept,
            "dropped_by_hand": arm.name in race.record.hand.dropped,
        }
        for arm in arms_of(race.record, race.runs)
    ]
    return {
        "race": race.name,
        "rules": asdict(race.record.rules),
        "over": decision.over,
        "halted": list(decision.halted),
        "spent": decision.spent,
        "ended_by_hand": race.record.hand.ended,
        "finalists": list(decision.finalists),
        "confirmations": race.confirmations,
        **asdict(compute(race.record, race.runs, decision)),
        "answer": None if found is None else asdict(found),
        "arms": arms,
    }
