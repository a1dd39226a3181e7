"""What a person can do to a run. The commands and the app do it by these, with the same effect."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from core.run.errors import RunDirError
from core.run.rundir import RunDir
from s3tui.launchers.slurm import job_control as slurm
from s3tui.launchers.slurm.sync import refresh
from s3tui.runs.gather import lives
from s3tui.runs.records.process import Process, read_exit, read_process
from s3tui.runs.records.queue import Queue, Resources, queued
from s3tui.runs.records.result import read_result
from s3tui.runs.records.settings import read_summary
from s3tui.runs.records.slurm_job import read_job
from s3tui.runs.status import Broken, Cancelled, Damaged, Dead, Done, Paused, Quiet, Running
from s3tui.runs.workspace import FoundRun, Workspace
from s3tui.system.cpu import usable_cores
from s3tui.system.file_locks import is_locked, try_lock
from s3tui.system.process_identity import is_alive, kill_marked, send

POLL_SECONDS = 0.05
KILL_SECONDS = 10.0  # for the kernel to end what was killed
SLURM_SECONDS = 60.0  # for Slurm to do so: its KillWait is 30 seconds unless somebody has changed it
START_SECONDS = 5.0  # for a run that begins to have a process
DELETED = ".deleted-"


class RefusedError(RunDirError):
    """A run is in no state for what was asked."""


def hold(workspace: Workspace, run: FoundRun, at_once: bool = False) -> str:
    """Stop a run through its checkpoint, or keep it from starting; says what was done."""
    if isinstance(run.status, (Done, Broken, Dead, Cancelled, Damaged)):
        raise RefusedError(f"{run.name} is {run.status.name}", "only what waits or runs can be stopped")
    if isinstance(run.status, Paused):
        return "paused already"
    workspace.queue.change(run.directory, lambda queue: replace(queue, wanted="held", reason="stopped on demand"))
    if _in_slurm(run):
        return _tell_slurm(run, "kill" if at_once else "stop", "hold")
    return _end(run, at_once) or "held"


def cancel(workspace: Workspace, run: FoundRun) -> str:
    """End a run at once and take it out of the queue for good; nothing that it started survives."""
    if isinstance(run.status, (Done, Damaged)):
        raise RefusedError(f"{run.name} is {run.status.name}", "s3tui rm deletes it")
    if isinstance(run.status, Cancelled):
        return "cancelled already"
    workspace.queue.change(run.directory, lambda queue: replace(queue, wanted="cancelled", reason=""))
    if _in_slurm(run):
        return _tell_slurm(run, "cancel", "cancel")
    _end(run, at_once=True)
    return "cancelled"


DONE: dict[slurm.Wish, str] = {
    "kill": "killed", "stop": "stopped", "hold": "held", "cancel": "cancelled", "release": "queued",
}  # fmt: skip


def _in_slurm(run: FoundRun) -> bool:
    return run.job is not None and run.job.lives


def _tell_slurm(run: FoundRun, at_work: slurm.Wish, waiting: slurm.Wish) -> str:
    """Tell Slurm of a wish that is written down already; where it cannot hear now, the dispatcher says it again."""
    assert run.job is not None
    wish = waiting if run.job.waits else at_work
    if not run.job.id:
        return f"{DONE[wish]} once Slurm has it"
    refusal = slurm.tell(run.directory, run.job, wish)
    return f"{DONE[wish]} once Slurm hears of it: {refusal}" if refusal else DONE[wish]


def _end(run: FoundRun, at_once: bool) -> str:
    """Tell the processes of a run to end; empty where there are none."""
    if not isinstance(run.status, (Running, Quiet)):
        return ""
    # A run that is about to start is told by its dispatcher, once it has a process.
    if run.status.process is not None:
        tell_to_end(run.status.process, at_once)
    return "killed" if at_once else "stopped"


def tell_to_end(process: Process, at_once: bool) -> None:
    """Ask a worker for a checkpoint and its end, or end it with all that it started; nobody waits here."""
    if send(process.supervisor, signal.SIGINT if at_once else signal.SIGTERM):
        return
    send(process.worker, signal.SIGKILL if at_once else signal.SIGTERM)


def wait_for_end(
    workspace: Workspace, runs: Iterable[FoundRun], at_once: bool = False, hurry: Callable[[], bool] = lambda: False
) -> list[FoundRun]:
    """Wait until all that was told to end has ended; kills what does not within its grace. Gives what lives on."""
    told_all = [run for run in runs if isinstance(run.status, (Running, Quiet))]
    here = _wait_here([run for run in told_all if not _in_slurm(run)], at_once, hurry)
    return here + _wait_there(workspace, [run for run in told_all if _in_slurm(run)], hurry)


def _wait_there(workspace: Workspace, runs: Sequence[FoundRun], hurry: Callable[[], bool]) -> list[FoundRun]:
    """Wait until what was told to end in Slurm has ended; that kills what does not, by its own clock."""
    deadline = time.monotonic() + max(map(_grace, runs), default=0.0) + SLURM_SECONDS
    while runs and time.monotonic() < deadline and not hurry():
        refresh(workspace, runs)
        runs = [run for run in runs if _is_at_work(run.directory)]
        time.sleep(POLL_SECONDS)
    return list(runs)


def _is_at_work(directory: RunDir) -> bool:
    job = read_job(directory)
    return job is not None and job.lives and not job.waits


def _wait_here(runs: Sequence[FoundRun], at_once: bool, hurry: Callable[[], bool]) -> list[FoundRun]:
    living = {run.name: run for run in runs}
    began = time.monotonic()
    told: set[str] = set()
    killed: set[str] = set()
    while living:
        waited = time.monotonic() - began
        for name, run in list(living.items()):
            process = _process(run.directory)
            lives_on = process is not None and lives(process)
            if not lives_on and not is_locked(run.directory.log):
                del living[name]
            elif name not in killed and _is_over(process, lives_on, waited, hurry()):
                killed.add(name)
                kill_all(run.directory)
            elif process is not None and lives_on and name not in told:
                told.add(name)  # it may have had no process yet when it was told first
                tell_to_end(process, at_once)
        if waited > KILL_SECONDS + max(map(_grace, living.values()), default=0.0):
            break
        time.sleep(POLL_SECONDS)
    return list(living.values())


def _is_over(process: Process | None, lives_on: bool, waited: float, hurry: bool) -> bool:
    """Whether the time of a worker is over. A supervisor sees to that itself, unless it is gone or there is a hurry."""
    if hurry or not lives_on or process is None:
        return hurry or waited > START_SECONDS
    return not is_alive(process.supervisor) and waited > process.grace


def _grace(run: FoundRun) -> float:
    process = _process(run.directory)
    return process.grace if process else KILL_SECONDS


def kill_all(directory: RunDir) -> None:
    """End whatever belongs to a run, at once: its supervisor does it, or where that is gone, we do."""
    with contextlib.suppress(RunDirError):
        process = read_process(directory)
        if process is not None and send(process.supervisor, signal.SIGINT):
            return
        if process is not None:
            send(process.worker, signal.SIGKILL)
    while kill_marked(directory.path):
        time.sleep(POLL_SECONDS)


def resume(workspace: Workspace, run: FoundRun) -> str:
    """Put a paused run back into the queue; it goes on from its checkpoint."""
    if not isinstance(run.status, Paused):
        if isinstance(run.status, (Broken, Dead, Cancelled, Damaged)):
            raise RefusedError(f"{run.name} is {run.status.name}", "s3tui retry starts it again")
        return f"{run.status.name} already"
    if _in_slurm(run) and run.job is not None and run.job.waits:
        workspace.queue.change(run.directory, lambda queue: replace(queue, wanted="queued", reason=""))
        return _tell_slurm(run, "release", "release")
    return _requeue(workspace, run)


def retry(workspace: Workspace, run: FoundRun) -> str:
    """Put a run back into the queue with all its retries, whatever became of it; it goes on from its checkpoint."""
    if isinstance(run.status, Done):
        raise RefusedError(f"{run.name} is finished", "s3tui run --fresh does it anew")
    if isinstance(run.status, (Running, Quiet)):
        return f"{run.status.name} already"
    return _requeue(workspace, run)


def _requeue(workspace: Workspace, run: FoundRun) -> str:
    if not run.directory.exists():
        raise RefusedError(f"{run.directory.spec} is missing", "s3tui run FILE --fresh makes the run anew")
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
        directory.exit: read_exit, directory.slurm: read_job,
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
    if _in_slurm(run) and run.job is not None and run.job.waits and (refusal := slurm.prefer(run.job, priority)):
        raise RefusedError(f"{run.name}: Slurm refuses it: {refusal}", "without its rights a priority is 0 or less")
    workspace.queue.change(run.directory, lambda queue: replace(queue, priority=priority))
    return f"priority {priority}"


def remove(workspace: Workspace, directory: RunDir) -> None:
    """Delete a run for good: only a real folder of the workspace, and only while nobody works on it."""
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
    """Whether anybody works on a run, here or on a cluster, or Slurm is about to."""
    with contextlib.suppress(RunDirError):
        job = read_job(directory)
        if job is not None:
            return job.lives and not directory.result.exists()
    process = _process(directory)
    return process is not None and lives(process)


def _process(directory: RunDir) -> Process | None:
    try:
        return read_process(directory)
    except RunDirError:
        return None


def _remove_empty(workspace: Workspace, folder: Path) -> None:
    """Delete the folder of an experiment that has no runs any more."""
    while folder != workspace.path:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent
