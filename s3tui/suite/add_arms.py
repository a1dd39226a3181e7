"""Adds arms to a race that has ranges: values that nobody has tried, drawn with what the arms so far have scored."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from core.run.errors import SpecError
from core.run.limit import Limit, write_limit
from core.run.rundir import RunDir, read_json
from core.run.spec import RunSpec
from s3tui.launchers.base import RefusedError
from s3tui.race.facts import searches_of
from s3tui.race.record import Record, fresh_seeds, write_race
from s3tui.runs.records.queue import Queue, queued, read_queue
from s3tui.runs.workspace import Workspace
from s3tui.scheduling.race_by_hand import record_of
from s3tui.scheduling.races import Race
from s3tui.suite import ranges as drawing
from s3tui.suite.arms import tried
from s3tui.suite.matrix import MOST_RUNS, SETTINGS, Point, written
from s3tui.system.file_locks import locked

BY_NAME = ("model", "structure", "method", "space", "task")  # settings that only the file of the suite can resolve


def add(workspace: Workspace, race: Race, number: int) -> tuple[str, ...]:
    """Draw so many more arms and queue them; gives the names of their runs.

    Raises RefusedError where the arms are a fixed list, where the race has ended, or where its budget has no room.
    """
    with locked(workspace.submitting):
        record = record_of(workspace, race)
        _check(race, record, number)
        drawn = _more(race, record, number)
        arms = tuple(_name(record, i, values) for i, values in enumerate(drawn, len(record.arms)))
        specs = [_spec(workspace, race, record, i, values) for i, values in enumerate(drawn, len(record.arms))]
        _check_room(race, record, specs)
        # Directories first: an arm of the record without one would be lost.
        for i, (arm, spec) in enumerate(zip(arms, specs, strict=True), len(record.arms)):
            _make(workspace, workspace.run(f"{race.suite}/{arm}"), race, record, i, spec)
        seeds = record.seeds
        if any(spec.seed in seeds for spec in specs):
            used = [run.spec["seed"] for run in race.runs.values() if "seed" in run.spec]
            seeds = fresh_seeds((*used, *(spec.seed for spec in specs)), len(seeds))
        write_race(
            workspace.path / race.name,
            replace(
                record, arms=(*record.arms, *arms), seeds=seeds, added=record.added + number,
                drawn=(*record.drawn, *map(drawing.as_keys, drawn)),
            ),
        )  # fmt: skip
    return tuple(f"{race.suite}/{arm}" for arm in arms)


def _check(race: Race, record: Record, number: int) -> None:
    """Raise RefusedError where no arm can be added."""
    if not record.ranges:
        hint = "race others in an experiment of their own"
        raise RefusedError(f"the arms of {race.name} are a fixed list, as it has no ranges", hint)
    named = [key[0] for key in drawing.of_text(record.ranges) if len(key) == 1 and key[0] in BY_NAME]
    if named:
        hint = "raise race.arms in its file, and s3tui run FILE draws more"
        raise RefusedError(f"{named[0]} is a range of {race.name}, and is resolved by the suite alone", hint)
    if record.hand.ended or race.decision.spent:
        why = "was ended by hand" if record.hand.ended else "has spent its budget"
        raise RefusedError(f"the race {race.name} {why}", "no arm begins any more")
    if not 1 <= number <= MOST_RUNS - len(record.arms):
        raise RefusedError(f"{number} arms cannot be added", f"a race has at most {MOST_RUNS:,}")


def _more(race: Race, record: Record, number: int) -> list[Point]:
    """What is drawn for the next arms."""
    ranges, known = drawing.of_text(record.ranges), len(record.arms)
    try:
        drawn = drawing.draw(
            ranges, len(_heads(record)), known + number, record.drawn, lambda: tried(record, race.runs)
        )
    except SpecError as error:
        raise RefusedError(error.message, error.hint) from None
    return drawn[known:]


def _heads(record: Record) -> list[str]:
    """What the names of arms say of their points of the matrix, one for each point, in order."""
    return list(dict.fromkeys(map(_head, record.arms, record.drawn)))


def _head(arm: str, values: dict[str, Any]) -> str:
    return arm.removesuffix(written(drawing.as_point(values)))


def _name(record: Record, i: int, values: Point) -> str:
    heads = _heads(record)
    return f"{heads[i % len(heads)]}{written(values)}"


def _like(record: Record, i: int) -> str:
    """An arm of the same point of the matrix."""
    return record.arms[i % len(_heads(record))]


def _spec(workspace: Workspace, race: Race, record: Record, i: int, values: Point) -> RunSpec:
    """The settings of arm i: those of an earlier arm of its point, with its own values."""
    like = workspace.run(f"{race.suite}/{_like(record, i)}")
    settings = RunSpec.of_file(read_json(like.spec)).model_dump(mode="json")
    for key, value in values.items():
        (settings[key[0]] if key[0] in SETTINGS else settings)[key[-1]] = value
    try:
        return RunSpec.model_validate(settings)
    except ValidationError as error:
        raise RefusedError(f"an arm cannot have {written(values)}", error.errors()[0]["msg"]) from None


def _check_room(race: Race, record: Record, specs: list[RunSpec]) -> None:
    """Raise RefusedError where a budget in steps has no room for these arms beside what is planned."""
    there = [race.runs[name].spec if name in race.runs else {} for name in record.arms]
    searches = searches_of([*there, *(spec.model_dump(mode="json") for spec in specs)])
    before, after = record.rules.sizes(searches[: len(there)]), record.rules.sizes(searches)
    if after[0] < len(searches) or any(a < b for a, b in zip(after, before, strict=True)):
        budget = f"the budget of {record.rules.budget_steps:,} steps"
        raise RefusedError(f"{budget} has no room for {len(specs)} more arms", "add fewer, or raise it in the suite")


def _make(workspace: Workspace, directory: RunDir, race: Race, record: Record, i: int, spec: RunSpec) -> None:
    """Make the run of an arm, and queue it as the earlier arm of its point was."""
    if not directory.exists():
        directory.create(spec.model_dump(mode="json"))
    if not directory.limit.exists():
        write_limit(directory, Limit(record.rules.rungs[0]))
    if read_queue(directory) is None:
        there = read_queue(workspace.run(f"{race.suite}/{_like(record, i)}")) or Queue()
        workspace.queue.put(directory, queued(replace(there, order=i, settled=""), ""))
