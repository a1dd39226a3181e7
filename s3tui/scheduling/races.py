"""Carries out what the races of a workspace decide: who goes on, who is confirmed, who is left out.

Every step leaves files from which the next dispatcher decides the same, wherever this one is killed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from core.run.errors import S3Error
from core.run.limit import Limit, write_limit
from s3tui.race.confirm import confirmation_of
from s3tui.race.decide import Decision, Place
from s3tui.race.facts import Runs, decision
from s3tui.race.record import FILE, Record, read_race_if_whole
from s3tui.runs.index import Board
from s3tui.runs.records.queue import Queue, queued
from s3tui.runs.status import Paused, Quiet, Running
from s3tui.runs.workspace import FoundRun
from s3tui.scheduling.control import hold

SPENT = "the budget of the race is spent"
DROPPED = "dropped by hand"
ENDED = "the race was ended by hand"


@dataclass(frozen=True)
class Race:
    """A race of a workspace with what it decides now; `name` is `SUITE/EXPERIMENT`."""

    name: str
    record: Record
    runs: Runs
    decision: Decision

    @property
    def suite(self) -> str:
        """The suite to which it belongs."""
        return self.name.partition("/")[0]

    @property
    def confirmations(self) -> list[str]:
        """The names of the runs that confirm its arms, as far as there are any."""
        return [f"{self.suite}/{name}" for name in self.record.confirmations() if name in self.runs]


def races(board: Board, suite: str = "") -> Iterator[Race]:
    """The races of a workspace, or of a suite; a race whose record is damaged is left out."""
    for name in race_names(board):
        if not suite or name.partition("/")[0] == suite:
            race = race_called(board, name)
            if race is not None:
                yield race


def race_names(board: Board) -> list[str]:
    """The names of the races of a workspace, also of those whose record is damaged."""
    folders = dict.fromkeys(name.rpartition("/")[0] for name in board.runs if name.count("/") == 2)
    return [folder for folder in folders if (board.workspace.path / folder / FILE).exists()]


def race_called(board: Board, name: str) -> Race | None:
    """The race of this name; None where there is none, or its record is damaged."""
    record = read_race_if_whole(board.workspace.path / name)
    if record is None:
        return None
    runs = {full.partition("/")[2]: run for full, run in board.runs.items() if full.startswith(f"{name}/")}
    return Race(name, record, runs, decision(record, runs))


def has_actions(board: Board, suite: str = "") -> bool:
    """Whether a race of a workspace, or of a suite, decides anything that is yet to be carried out."""
    return any(race.decision.has_actions for race in races(board, suite))


def advance(board: Board) -> set[str]:
    """Carry out what all races decide; the names of the runs that have changed."""
    return {run.name for race in list(races(board)) for run in _changes(board, race)}


def _changes(board: Board, race: Race) -> Iterable[FoundRun]:
    changed = [
        *(_stop(board, race, name) for name in race.decision.stop),
        *(_withdraw(board, race.runs[name], SPENT) for name in race.decision.withdraw),
        *(_promote(board, race.runs[name], step) for name, step in race.decision.promote.items()),
        *(run for name in race.decision.confirm for run in _confirm(board, race, name)),
        *_noted(board, race),
    ]
    for run in filter(None, changed):
        board.read(run.name)
        yield run


def _promote(board: Board, run: FoundRun, step: int) -> FoundRun | None:
    """Let an arm go on; one that is on its way to the rung where it was already is let there first.

    A job of a cluster may be on its way though the cluster has last said that it waits.
    """
    if isinstance(run.status, (Running, Quiet)) or (run.job is not None and run.job.lives):
        return None
    # In this order, so that between the two it is queued, and never looks like an arm that was stopped by hand.
    if isinstance(run.status, Paused):
        board.workspace.queue.change(run.directory, lambda queue: queued(queue, run.attempt))
    write_limit(run.directory, Limit(step))
    board.workspace.queue.note(run.directory)
    return run


def _stop(board: Board, race: Race, name: str) -> FoundRun:
    """Stop an arm through its checkpoint, as was decided by hand, from which it can go on if that is taken back."""
    run, reason = race.runs[name], DROPPED if name in race.record.hand.dropped else ENDED
    with contextlib.suppress(S3Error):  # it has just ended, or its cluster does not answer: the next round sees
        hold(board.workspace, run, reason=reason)
    return run


def _withdraw(board: Board, run: FoundRun, reason: str) -> FoundRun:
    """Take an arm out of the race for good."""
    board.workspace.queue.change(run.directory, lambda queue: replace(queue, wanted="cancelled", reason=reason))
    return run


def _confirm(board: Board, race: Race, arm: str) -> Iterator[FoundRun]:
    """Queue those confirmations of an arm that there are none of yet; an arm that cannot be confirmed is left out."""
    run, workspace = race.runs[arm], board.workspace
    for seed in race.record.seeds[: race.record.rules.confirm]:
        name = f"{race.suite}/{race.record.confirmation(arm, seed)}"
        directory = workspace.run(name)
        try:
            spec = confirmation_of(run.directory, run.name, seed)
        except S3Error as error:
            yield _withdraw(board, run, f"it cannot be confirmed: {error}")
            return
        if not directory.exists():
            directory.create(spec.model_dump(mode="json"))
        if name not in board.runs or board.runs[name].queue is None:
            wanted = run.queue or Queue()
            workspace.queue.put(directory, queued(replace(wanted, settled=""), ""))
        if (made := board.read(name)) is not None:
            yield made


def _noted(board: Board, race: Race) -> Iterator[FoundRun]:
    """Write into the queue entries of arms that rest where they stand, which is what lists show of them."""
    last = race.record.rules.rungs[-1]
    for name, place in race.decision.places.items():
        run = race.runs.get(name)
        if run is None or not isinstance(run.status, Paused) or name in race.decision.promote:
            continue
        reason = DROPPED if name in race.record.hand.dropped else standing(place, last)
        if reason and run.queue is not None and run.queue.wanted == "held" and run.queue.reason != reason:
            board.workspace.queue.change(run.directory, partial(_with_reason, reason=reason))
            yield run


def _with_reason(queue: Queue, reason: str) -> Queue:
    return replace(queue, reason=reason) if queue.wanted == "held" else queue


def standing(place: Place, last: int) -> str:
    """Where an arm stands, as `dropped at step 100 of 900, 17th of 24`; empty where the run says it itself."""
    words = {"waits": "waits", "goes on": "goes on", "dropped": "dropped", "final": "a finalist"}
    if place.fate not in words or not place.step:
        return ""
    return f"{words[place.fate]} at step {place.step} of {last}, {ordinal(place.rank)} of {place.of}"


def ordinal(number: int) -> str:
    """A number as 1st, 2nd, 3rd, 11th."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th") if number % 100 not in (11, 12, 13) else "th"
    return f"{number}{ending}"
