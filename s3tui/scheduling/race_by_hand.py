"""What people decide about a race by hand: they drop or keep an arm, or end it with what there is.

A decision is written to the record of the race (`race.json`), from which every dispatcher decides the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from s3tui.launchers.base import RefusedError
from s3tui.race.record import Hand, Record, read_race, write_race
from s3tui.runs.status import Paused, Quiet, Running
from s3tui.runs.workspace import Workspace
from s3tui.scheduling import control
from s3tui.scheduling.races import DROPPED, Race
from s3tui.system.file_locks import locked


def drop(workspace: Workspace, race: Race, arm: str) -> str:
    """Take an arm out of a race; one that is under way stops with a checkpoint. Says what was done.

    Raises RefusedError where that would change nothing any more.
    """
    place = race.decision.places[arm]
    if race.decision.over:
        raise RefusedError(f"the race {race.name} is over", "s3tui run FILE --fresh begins it anew")
    if place.fate == "final":
        raise RefusedError(f"{arm} is a finalist", "s3tui cancel ends the runs that confirm it")
    if place.fate == "lost":
        raise RefusedError(f"{arm} is lost already", "s3tui race show says why")
    if arm in race.record.hand.dropped:
        return "dropped already"
    _decide(workspace, race, lambda hand: replace(hand, dropped=(*hand.dropped, arm), kept=_without(hand.kept, arm)))
    return "dropped"


def keep(workspace: Workspace, race: Race, arm: str) -> str:
    """Let an arm go on at every rung, wherever it stands, one that was dropped too. Says what was done.

    Raises RefusedError where that would change nothing any more.
    """
    decision, hand = race.decision, race.record.hand
    if hand.ended or decision.spent:
        why = "was ended by hand" if hand.ended else "has spent its budget"
        raise RefusedError(f"the race {race.name} {why}", "no arm goes on")
    if decision.places[arm].fate in ("final", "lost"):
        stands = "a finalist" if decision.places[arm].fate == "final" else "lost; s3tui race show says why"
        raise RefusedError(f"{arm} is {stands}", "what waits, runs or was dropped can be kept")
    if arm in hand.kept:
        return "kept already"
    run = race.runs[arm]
    if isinstance(run.status, (Running, Quiet)) and run.status.stopping:
        raise RefusedError(f"{arm} is being stopped", "try again when it has ended")
    _decide(workspace, race, lambda hand: replace(hand, kept=(*hand.kept, arm), dropped=_without(hand.dropped, arm)))
    if isinstance(run.status, Paused) and run.queue is not None and run.queue.reason == DROPPED:
        control.resume(workspace, run)
    return "kept"


def end(workspace: Workspace, race: Race) -> str:
    """End a race with what there is: what is under way stops, and the best so far are confirmed. Says what was done.

    Raises RefusedError where it is over, or where no arm has reached a rung, as nothing could be confirmed.
    """
    if race.record.hand.ended:
        return "ended already"
    if race.decision.over:
        raise RefusedError(f"the race {race.name} is over", "s3tui race show prints its answer")
    if not any(place.step and place.fate != "lost" for place in race.decision.places.values()):
        first = f"the first is at step {race.record.rules.rungs[0]}"
        raise RefusedError(f"no arm of {race.name} has reached a rung", f"{first}; s3tui cancel ends runs without one")
    _decide(workspace, race, lambda hand: replace(hand, ended=True))
    return "ended"


def _without(names: tuple[str, ...], name: str) -> tuple[str, ...]:
    return tuple(one for one in names if one != name)


def _decide(workspace: Workspace, race: Race, how: Callable[[Hand], Hand]) -> None:
    with locked(workspace.submitting):
        folder = workspace.path / race.name
        record = record_of(workspace, race)
        write_race(folder, replace(record, hand=how(record.hand)))


def record_of(workspace: Workspace, race: Race) -> Record:
    """The record of a race as it is now; raises RefusedError where it is gone."""
    record = read_race(workspace.path / race.name)
    if record is None:
        raise RefusedError(f"{race.name} is no race any more", "its record is gone")
    return record
