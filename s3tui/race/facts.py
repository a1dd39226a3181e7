"""The facts of a race, collected from the directories of its runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from core.run.errors import RunDirError
from core.run.limit import read_limit
from core.run.methods import method_of
from core.run.searched import search_digest
from s3tui.race.answer import Answer, answer_of
from s3tui.race.compute import Compute, compute_of
from s3tui.race.decide import Arm, Confirmation, Decision, State, decide
from s3tui.race.record import Record
from s3tui.race.track import Track, track
from s3tui.runs.records.result import Result
from s3tui.runs.status import Broken, Dead, Done, Paused, Queued, Quiet, Running
from s3tui.runs.workspace import FoundRun, Workspace, read_run

Runs = Mapping[str, FoundRun]  # by names without that of the suite


def runs_of(workspace: Workspace, suite: str, record: Record) -> dict[str, FoundRun]:
    """The runs of a race that are there, read anew."""
    found = {}
    for name in (*record.arms, *record.confirmations()):
        directory = workspace.run(f"{suite}/{name}")
        with contextlib.suppress(OSError):
            if directory.exists():
                found[name] = read_run(directory, f"{suite}/{name}")
    return found


def decision(record: Record, runs: Runs) -> Decision:
    """What happens next in a race."""
    return decide(record.rules, arms_of(record, runs), confirmations_of(record, runs), record.hand)


def compute(record: Record, runs: Runs, decision: Decision) -> Compute:
    """What all runs of a race have taken, and what is still to come."""
    arms, confirmations = arms_of(record, runs), confirmations_of(record, runs)
    return compute_of(record.rules, arms, confirmations, decision, record.hand.ended)


def arms_of(record: Record, runs: Runs) -> list[Arm]:
    """The arms of a race in their order; one whose directory is gone is lost."""
    found = [runs.get(name) for name in record.arms]
    searches = _once((run.search_digest, run.spec) if run is not None else ("", {}) for run in found)
    return [_arm(record, *one) for one in zip(record.arms, found, searches, strict=True)]


def _arm(record: Record, name: str, run: FoundRun | None, searches: int) -> Arm:
    first = record.rules.rungs[0]
    if run is None:
        return Arm(name, "lost", first)
    done, limit = track(run.directory.events), limit_of(run, first)
    scores = done.scores(record.rules.rungs)
    return Arm(
        name, _state(run, limit in scores), limit, scores, searches, done.steps, done.seconds, done.pace,
        begun=bool(run.attempt),
    )  # fmt: skip


def limit_of(run: FoundRun, otherwise: int) -> int:
    """The step up to which a run may go; `otherwise` where its file is missing or damaged."""
    try:
        limit = read_limit(run.directory)
    except RunDirError:
        limit = None
    return limit.steps if limit is not None else otherwise


def confirmations_of(record: Record, runs: Runs) -> list[Confirmation]:
    """The confirmations that were queued."""
    found = []
    for name, (arm, _) in record.confirmations().items():
        run = runs.get(name)
        if run is not None and run.queue is not None:
            done: Track = track(run.directory.events)
            found.append(Confirmation(arm, _state(run, False), done.steps, done.seconds))
    return found


def _state(run: FoundRun, at_limit: bool) -> State:
    """Where a run stands, as a race sees it."""
    status = run.status
    if isinstance(status, Done):
        return "waits"
    wanted = run.queue.wanted if run.queue is not None else "held"
    if isinstance(status, (Queued, Running, Quiet)):
        # What was told to stop or to end will not go on by itself, though it may live for another moment.
        return {"queued": "open", "held": "held", "cancelled": "lost"}[wanted]  # type: ignore[return-value]
    if isinstance(status, (Paused, Broken, Dead)) and wanted == "queued":
        return "open"  # the dispatcher has yet to see how it ended
    if isinstance(status, Paused):
        return "waits" if at_limit else "held"
    return "lost"


def searches_of(specs: Sequence[Mapping[str, Any]]) -> tuple[int, ...]:
    """The steps of each run's search at most, given the settings as in `spec.json`.

    0 where there is none, where its length is in epochs, or where an earlier run has the same one: runs that differ in
    retraining alone share a search.
    """
    return _once((search_digest(spec), spec) for spec in specs)


def _once(searches: Iterable[tuple[str, Mapping[str, Any]]]) -> tuple[int, ...]:
    """The steps of each search, given its digest and its settings; 0 where an earlier one is the same."""
    seen, steps = set[str](), []
    for digest, spec in searches:
        steps.append(0 if digest in seen else _search_steps(spec))
        seen.add(digest)
    return tuple(steps)


def _search_steps(spec: Mapping[str, Any]) -> int:
    table = spec.get(method_of(spec.get("method")).length, {})
    return int(table.get("max_steps") or table.get("head_steps", 0) + table.get("batches", 0))


def results_of(record: Record, runs: Runs) -> dict[str, dict[int, Result]]:
    """The results of finished confirmations, by arm and seed."""
    found: dict[str, dict[int, Result]] = {}
    for name, (arm, seed) in record.confirmations().items():
        run = runs.get(name)
        if run is not None and isinstance(run.status, Done):
            found.setdefault(arm, {})[seed] = run.status.result
    return found


def answer(record: Record, runs: Runs) -> Answer | None:
    """The answer of a race as far as its confirmations have finished; None without any."""
    return answer_of(arms_of(record, runs), results_of(record, runs), record.rules.rungs)
