"""Brings the files of runs up to what Slurm says: for the dispatcher, and for commands where nobody dispatches."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from core.run.rundir import RunDir
from s3tui.launchers.slurm.client import ASK_SECONDS, Answer, Told, accounts_of, ask_now
from s3tui.runs.records.slurm_job import GONE, Job, array_name, read_job, write_job
from s3tui.runs.workspace import FoundRun, Workspace, find_runs, read_run

PATIENCE_SECONDS = 5.0  # of somebody who only looks


def living(runs: Iterable[FoundRun]) -> list[FoundRun]:
    """The runs whose job Slurm still has."""
    return [run for run in runs if run.job is not None and run.job.lives]


def record(answer: Answer, runs: Iterable[FoundRun]) -> tuple[set[str], list[FoundRun]]:
    """Write down what is new of living jobs: the runs that have changed, and those whose job was not told of."""
    by_name = {(told.name, id.rpartition("_")[2]): id for id, told in answer.jobs.items()}
    changed, missing = set(), []
    for run in living(runs):
        assert run.job is not None
        # Whoever submitted it may have died before it wrote the id down.
        id = run.job.id or by_name.get((array_name(run.job.batch), str(run.job.task)), "")
        if id not in answer.jobs:
            missing.append(run)
        elif _note(run.directory, run.job, id, answer.jobs[id]):
            changed.add(run.name)
    return changed, missing


def record_lost(runs: Sequence[FoundRun]) -> None:
    """Write down what became of jobs that Slurm has forgotten: ended while nobody asked, or never submitted."""
    jobs = {run.job.id: run for run in runs if run.job is not None and run.job.id}
    told = accounts_of(jobs) if jobs else {}
    for id, run in jobs.items():
        assert run.job is not None
        # What the accounts still take for alive, and Slurm does not know, is not alive.
        _note(run.directory, run.job, id, Told(GONE) if Job("", 0, state=told[id].state).lives else told[id])
    for run in runs:
        if run.job is not None and not run.job.id:
            run.directory.slurm.unlink(missing_ok=True)


def _note(directory: RunDir, before: Job, id: str, told: Told) -> bool:
    """Write down what is told of a job; whether that is new."""
    job = replace(
        before, id=id, state=told.state, reason=told.reason, node=told.node or before.node, exit_code=told.exit_code,
        restarts=told.restarts,
    )  # fmt: skip
    now = read_job(directory)
    if job == before or now is None or now.attempt != job.attempt:
        return False  # nothing is new, or it has another job by now
    write_job(directory, replace(job, held=now.held))
    return True


def refresh(workspace: Workspace, runs: Sequence[FoundRun]) -> set[str]:
    """Ask Slurm of runs unless somebody did a moment ago; the runs that have changed. A silent Slurm changes none."""
    runs = living(runs)
    if not runs or not _may_ask(workspace.arrays / "asked"):
        return set()
    answer = ask_now(PATIENCE_SECONDS)
    if answer.trouble:
        return set()
    changed, missing = record(answer, runs)
    record_lost(missing)
    return changed | {run.name for run in missing}


def _may_ask(stamp: Path) -> bool:
    """Whether nobody has asked for a while; says that we do."""
    try:
        if 0 <= time.time() - stamp.stat().st_mtime < ASK_SECONDS:
            return False
    except FileNotFoundError:
        pass
    try:
        stamp.touch()
    except OSError:
        return False  # somebody else's workspace
    return True


def find_fresh(workspace: Workspace) -> list[FoundRun]:
    """Every run of a workspace, by name. Slurm is asked where nobody dispatches, who would keep its jobs up to date."""
    found = find_runs(workspace.path)
    if not living(found) or workspace.dispatcher() is not None:
        return found
    changed = refresh(workspace, found)
    return [read_run(run.directory, run.name) if run.name in changed else run for run in found]
