"""The arms of a race: the points of an experiment's matrix, with values that are drawn from its ranges."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from core.run.errors import SpecError
from core.run.spec import RunSpec
from s3tui.race.facts import Runs, arms_of
from s3tui.race.record import Record, Rules, fresh_seeds
from s3tui.runs.status import Broken, Dead
from s3tui.suite import ranges as drawing
from s3tui.suite.matrix import MOST_RUNS, Point
from s3tui.suite.race_table import check_arms, race_table
from s3tui.text.problems import Key, Problems

Table = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """An experiment that races: its rules, how many arms it asks for, its ranges and what was drawn for each arm.

    The last `added` arms were added by hand.
    """

    rules: Rules
    arms: int | None
    ranges: drawing.Ranges
    drawn: tuple[Point, ...] = ()
    added: int = 0


def entry(table: Table, key: Key, problems: Problems) -> tuple[Entry | None, Table]:
    """What an experiment says of its race, None where it has none; and its table as that of any other experiment.

    The last rung is the length of the arms.
    """
    race = race_table(table["race"], (*key, "race"), problems) if "race" in table else None
    rest = {k: v for k, v in table.items() if k != "race"}
    if "race" not in table:
        return None, rest
    ranges, rest = drawing.taken_out(rest, lambda loc, message: problems.add((*key, *loc), message))
    for name in ("max_steps", "epochs"):
        if name in rest.get("retrain", {}) or ("retrain", name) in ranges:
            problems.add((*key, "retrain", name), "the last of race.rungs is the length: leave this out")
    if race is None:
        return None, rest
    length = {k: v for k, v in rest.get("retrain", {}).items() if k not in ("max_steps", "epochs")}
    return Entry(race.rules, race.arms, ranges), rest | {"retrain": length | {"max_steps": race.rules.rungs[-1]}}


def with_arms(
    entry: Entry,
    points: Sequence[Point],
    former: Record | None,
    runs: Callable[[Record], Runs],
    key: Key,
    problems: Problems,
) -> tuple[Entry | None, list[Point]]:
    """The points of the arms, with what is drawn; arms that were drawn before keep their values.

    More arms are drawn by how the former ones did, of which `runs` gives the runs. Those that were added by hand come
    on top of those that are asked for. The entry is None where the arms cannot be told, which is noted.
    """
    if not entry.ranges:
        if entry.arms not in (None, len(points)):
            problems.add((*key, "arms"), f"the matrix gives {len(points)} arms: leave this out, or add a range")
        return replace(entry, drawn=({},) * len(points)), list(points)
    if entry.arms is None or not len(points) <= entry.arms <= MOST_RUNS:
        reason = f"should say how many arms are drawn, {len(points)} or more: as many as the matrix has combinations"
        problems.add((*key, "arms"), reason)
        return None, list(points)
    same = former is not None and former.ranges == drawing.as_text(entry.ranges)
    former = former if same else None
    known: Sequence[Mapping[str, Any]] = former.drawn if former is not None else ()
    added = former.added if former is not None else 0
    try:
        before = lambda: tried(former, runs(former)) if former is not None else ()  # noqa: E731
        drawn = tuple(drawing.draw(entry.ranges, len(points), entry.arms + added, known, before))
    except SpecError as error:
        problems.add(key, str(error))
        return None, list(points)
    return replace(entry, drawn=drawn, added=added), [points[i % len(points)] for i in range(entry.arms + added)]


def tried(record: Record, runs: Runs) -> tuple[drawing.Tried, ...]:
    """How the arms of a race did, as far as that says anything of their values; one that was cancelled does not."""
    return tuple(_tried(record, runs))


def _tried(record: Record, runs: Runs) -> Iterator[drawing.Tried]:
    for arm, values in zip(arms_of(record, runs), record.drawn, strict=False):
        run = runs.get(arm.name)
        failed = run is not None and isinstance(run.status, (Broken, Dead)) and arm.state == "lost"
        if arm.scores or failed or arm.state != "lost":
            yield drawing.Tried(values, arm.scores, record.rules.rungs[-1] in arm.scores and not failed, failed)


def overridden(overrides: Table, drawn: Point) -> Table:
    """The settings of an experiment with what was drawn for one arm."""
    settings = dict(overrides)
    for key, value in drawn.items():
        settings[key[0]] = value if len(key) == 1 else {**settings.get(key[0], {}), key[1]: value}
    return settings


def recorded(entry: Entry, runs: Sequence[tuple[str, RunSpec]], key: Key, problems: Problems) -> Record:
    """The record of a race with these arms; what keeps them from racing is noted."""
    check_arms(entry.rules, [spec for _, spec in runs], key, problems)
    return Record(
        entry.rules,
        tuple(name for name, _ in runs),
        fresh_seeds((spec.seed for _, spec in runs), entry.rules.confirm),
        drawing.as_text(entry.ranges),
        tuple(map(drawing.as_keys, entry.drawn)) if entry.ranges else (),
        entry.added,
    )
