"""Actions on a run: stop, cancel, resume, retry, prioritise, delete. Commands and the app do them by these."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from core.run.errors import RunDirError
from core.run.rundir import RunDir
from s3tui.launchers.base import RefusedError
from s3tui.launchers.processes import process_of
from s3tui.launchers.registry import by_launcher, launcher_of
from s3tui.runs.gather import lives
from s3tui.runs.records.job import read_job
from s3tui.runs.records.process import read_exit, read_process
from s3tui.runs.records.queue import Queue, Resources, queued
from s3tui.runs.records.result import read_result
from s3tui.runs.records.settings import read_summary
from s3tui.runs.status import Broken, Cancelled, Damaged, Dead, Done, Paused, Quiet, Running
from s3tui.runs.workspace import FoundRun, Workspace
from s3tui.system.cpu import usable_cores
from s3tui.system.file_locks import try_lock

DELETED = ".deleted-"


def hold(workspace: Workspace, run: FoundRun, at_once: bool = False, reason: str = "stopped on demand") -> str:
    """Stop a run through its checkpoint, or keep it from starting; says what was done."""
    if isinstance(run.status, (Done, Broken, Dead, Cancelled, Damaged)):
        raise RefusedError(f"{run.name} is {run.status.name}", "only what waits or runs can be stopped")
    if isinstance(run.status, Paused):
        return "paused already"
    workspace.queue.change(run.directory, lambda queue: replace(queue, wanted="held", reason=reason))
    return launcher_of(run).stop(run, at_once)


def cancel(workspace: Workspace, run: FoundRun) -> str:
    """End a run at once and take it out of the queue for good; nothing that it started survives."""
    if isinstance(run.status, (Done, Damaged)):
        raise RefusedError(f"{run.name} is {run.status.name}", "s3tui rm deletes it")
    if isinstance(run.status, Cancelled):
        return "cancelled already"
    workspace.queue.change(run.directory, lambda queue: replace(queue, wanted="cancelled", reason=""))
    return launcher_of(run).cancel(run)


def wait_for_end(
    workspace: Workspace, runs: Iterable[FoundRun], at_once: bool = False, hurry: Callable[[], bool] = lambda: False
) -> list[FoundRun]:
    """Wait until all that was asked to end has ended; kills what does not within its grace. Gives what lives on."""
    ending = [run for run in runs if isinstance(run.status, (Running, Quiet))]
    left = [launcher.wait(workspace, group, at_once, hurry) for launcher, group in by_launcher(ending)]
    return [run for group in left for run in group]


def resume(workspace: Workspace, run: FoundRun) -> str:
    """Put a paused run back into the queue; it goes on from its checkpoint."""
    if not isinstance(run.status, Paused):
        if isinstance(run.status, (Broken, Dead, Cancelled, Damaged)):
            raise RefusedError(f"{run.name} is {run.status.name}", "s3tui retry starts it again")
        return f"{run.status.name} already"
    if run.job is not None and run.job.lives and run.job.waits:
        workspace.queue.change(run.directory, lambda queue: replace(queue, wanted="queued", reason=""))
        return launcher_of(run).release(run)
    return _requeue(workspace, run)


def retry(workspace: Workspace, run: FoundRun) -> str:
    """Put a run back into the queue with all its retries, whatever its status; it goes on from its checkpoint."""
    if isinstance(run.status, Done):
        raise RefusedError(f"{run.name} is finished", "s3tui rm deletes it; s3tui run FILE then repeats it")
    if isinstance(run.status, (Running, Quiet)):
        return f"{run.status.name} already"
    return _requeue(workspace, run)


def _requeue(workspace: Workspace, run: FoundRun) -> str:
    if not run.directory.exists():
        raise RefusedError(f"{run.directory.spec} is missing", "s3tui run FILE makes the run anew")
    if isinstance(run.status, Damaged):
        _forget_what_is_damaged(run)
    attempt = run.attempt
    new = Queue(device=run.spec.get("device", "auto"), resources=Resources(threads=min(4, usable_cores())))
    workspace.queue.change(run.directory, lambda queue: queued(new if run.queue is None else queue, attempt))
    return "queued"


def _forget_what_is_damaged(run: FoundRun) -> None:
    """Delete those of the files that can be made anew and cannot be read; the others keep the run damaged."""
    directory = run.directory
    files: dict[Path, Callable[[RunDir], object]] = {
        directory.result: read_result, directory.summary: read_summary, directory.process: read_process,
        directory.exit: read_exit, directory.job: read_job, directory.former_job: read_job,
    }  # fmt: skip
    for path, reading in files.items():
        try:
            reading(directory)
        except RunDirError:
            path.unlink(missing_ok=True)


def set_priority(workspace: Workspace, run: FoundRun, priority: int) -> str:
    """Runs of higher priority start first."""
    if isinstance(run.status, (Done, Damaged)):
        raise RefusedError(f"{run.name} is {run.status.name}", "only what has not ended has a priority")
    if refusal := launcher_of(run).set_priority(run, priority):
        raise RefusedError(f"{run.name}: {refusal}", "without special rights a priority is 0 or less")
    workspace.queue.change(run.directory, lambda queue: replace(queue, priority=priority))
    return f"priority {priority}"


def remove(workspace: Workspace, directory: RunDir) -> None:
    """Delete a run for good: only a real folder of the workspace, and only while nothing works on it."""
    path = directory.path
    if path.is_symlink() or workspace.path.resolve() not in path.resolve().parents:
        raise RefusedError(f"{path} lies outside of the workspace", "delete it yourself")
    lock = try_lock(directory.log)
    if lock is None or is_worked_on(directory):
        if lock is not None:
            os.close(lock)
        raise RefusedError(f"{path} is being worked on", "wait for it, or stop it")
    try:
        # Renamed first, so that a delete that is cut short leaves no half a run behind.
        doomed = path.with_name(f"{DELETED}{path.name}")
        shutil.rmtree(doomed, ignore_errors=True)
        path.rename(doomed)
        shutil.rmtree(doomed)
    finally:
        os.close(lock)
    workspace.queue.note(directory)
    _remove_empty(workspace, path.parent)


def is_worked_on(directory: RunDir) -> bool:
    """Whether anything works on a run, here or on a cluster, or is about to."""
    with contextlib.suppress(RunDirError):
        job = read_job(directory)
        if job is not None:
            return job.lives and not directory.result.exists()
    process = process_of(directory)
    return process is not None and lives(process)


def _remove_empty(workspace: Workspace, folder: Path) -> None:
    """Delete the folder of an experiment that has no runs any more."""
    while folder != workspace.path:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent
