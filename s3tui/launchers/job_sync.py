"""Brings the records of jobs up to what their cluster reports, for dispatchers and for commands."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from core.run.rundir import RunDir
from s3tui.launchers.job_reports import Answer, Report
from s3tui.runs.records.job import GONE, Job, forget_job, read_job, write_job
from s3tui.runs.workspace import FoundRun

ASK_SECONDS = 3.0  # between two questions


def living(runs: Iterable[FoundRun], launcher: str) -> list[FoundRun]:
    """The runs with a job of this launcher that has not ended."""
    return [run for run in runs if run.job is not None and run.job.lives and run.job.launcher == launcher]


def record(answer: Answer, runs: Iterable[FoundRun]) -> tuple[set[str], list[FoundRun]]:
    """Write down what is new of the jobs of runs: the names of those that have changed, and those not in the answer."""
    by_task = {(report.batch, report.task): id for id, report in answer.jobs.items()}
    changed, missing = set(), []
    for run in runs:
        assert run.job is not None
        # Whoever submitted it may have died before the id was written down.
        id = run.job.id or by_task.get((run.job.batch, run.job.task), "")
        if id not in answer.jobs:
            missing.append(run)
        elif _note(run.directory, run.job, id, answer.jobs[id]):
            changed.add(run.name)
    return changed, missing


def record_lost(runs: Sequence[FoundRun], reports: Mapping[str, Report]) -> None:
    """Write down what became of jobs that the cluster does not know any more.

    `reports` is what its accounts say; what they still take for alive is not. A job without an id was never submitted.
    """
    for run in runs:
        assert run.job is not None
        report = reports.get(run.job.id)
        if not run.job.id:
            forget_job(run.directory)
        elif report is None or report.phase != "ended":
            _note(run.directory, run.job, run.job.id, Report("ended", GONE))
        else:
            _note(run.directory, run.job, run.job.id, report)


def _note(directory: RunDir, before: Job, id: str, report: Report) -> bool:
    """Write down the report of a job; whether it is news."""
    job = replace(
        before, id=id, phase=report.phase, end=report.end, state=report.state, manner=report.manner,
        reason=report.reason, node=report.node or before.node, exit_code=report.exit_code, restarts=report.restarts,
    )  # fmt: skip
    now = read_job(directory)
    if job == before or now is None or now.attempt != job.attempt:
        return False  # nothing is new, or it has another job by now
    write_job(directory, replace(job, held=now.held))
    return True


def may_ask(stamp: Path) -> bool:
    """Whether the last question is a while ago; notes the time of this one."""
    try:
        if 0 <= time.time() - stamp.stat().st_mtime < ASK_SECONDS:
            return False
    except FileNotFoundError:
        pass
    try:
        stamp.touch()
    except OSError:
        return False  # a workspace of another user
    return True
