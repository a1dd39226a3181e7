"""Enters the arms of a suite's races: with a limit each, and with the record that the dispatcher reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from core.run.errors import RunDirError, UsageError
from core.run.limit import Limit, write_limit
from s3tui.race.facts import arms_of, confirmations_of, runs_of
from s3tui.race.record import FILE, Hand, read_race_if_whole, write_race
from s3tui.runs.records.queue import queued
from s3tui.runs.workspace import FoundRun, Workspace
from s3tui.scheduling.control import remove
from s3tui.suite.load import PlannedRun, Suite


def check_whole(suite: Suite, runs: Sequence[PlannedRun]) -> None:
    """Raise UsageError where only some of the arms of a race are chosen."""
    chosen = {run.name for run in runs}
    for name, record in suite.races.items():
        if chosen.intersection(record.arms) and not chosen.issuperset(record.arms):
            raise UsageError(f"only some arms of the race {name} are chosen", f"--only={name} takes all of them")


def resting(suite: Suite, fresh: bool) -> frozenset[str]:
    """The arms that are not queued again.

    They wait at a rung or are under way, were dropped or ended by hand, or were lost and others are confirmed.
    """
    if fresh:
        return frozenset()
    names: set[str] = set()
    workspace = Workspace(suite.workspace)
    for name, record in suite.races.items():
        found = runs_of(workspace, suite.name, record)
        rest = ("waits", "open", *(["lost"] if confirmations_of(record, found) else []))
        there = read_race_if_whole(suite.folder / name)
        hand = there.hand if there is not None else Hand()
        out = record.arms if hand.ended else hand.dropped
        names |= {a.name for a in arms_of(record, found) if a.name in found and (a.state in rest or a.name in out)}
    return frozenset(names)


def clear(suite: Suite, races: Sequence[str]) -> None:
    """Delete the records of races that begin anew, and the confirmations of former ones."""
    workspace = Workspace(suite.workspace)
    for name in races:
        # First, as without it a dispatcher decides nothing, whatever else is still there.
        (suite.folder / name / FILE).unlink(missing_ok=True)
        for confirmation in suite.races[name].confirmations():
            directory = workspace.run(f"{suite.name}/{confirmation}")
            if directory.path.exists():
                remove(workspace, directory)


def limit(suite: Suite, run: PlannedRun) -> None:
    """Give an arm that has none the limit of the first rung; other runs have none."""
    record = suite.races.get(run.name.partition("/")[0])
    directory = suite.directory(run)
    if record is not None and not directory.limit.exists():
        write_limit(directory, Limit(record.rules.rungs[0]))


def enter(suite: Suite, races: Sequence[str]) -> None:
    """Write the records of races whose arms are all there, and queue confirmations again that were stopped.

    What was decided by hand stays. Raises RunDirError where arms were added since the suite was read.
    """
    workspace = Workspace(suite.workspace)
    for name in races:
        record = suite.races[name]
        there = read_race_if_whole(suite.folder / name)
        if there is not None and there.added != record.added:
            raise RunDirError(f"arms were added to the race {name} meanwhile", "run the same command again")
        write_race(suite.folder / name, replace(record, hand=there.hand) if there is not None else record)
        found = runs_of(workspace, suite.name, record)
        for confirmation in record.confirmations():
            run = found.get(confirmation)
            if run is not None and run.queue is not None and run.queue.wanted != "queued" and not _is_done(run):
                workspace.queue.change(run.directory, partial(queued, attempt=run.attempt))


def _is_done(run: FoundRun) -> bool:
    return run.directory.result.exists()
