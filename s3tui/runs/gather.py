"""Collects the facts that determine a run's status, from its files and from the processes of this machine."""

from __future__ import annotations

import os
import time
from pathlib import Path

from core.run.errors import RunDirError
from core.run.events import Event, from_line
from core.run.rundir import RunDir, open_plain
from s3tui.runs.records.job import Job, read_job
from s3tui.runs.records.process import Exit, Process, read_exit, read_process
from s3tui.runs.records.queue import Queue
from s3tui.runs.records.result import read_result
from s3tui.runs.status import Damaged, Facts, Status, attempt_of, status_of
from s3tui.system.file_locks import is_locked
from s3tui.system.process_identity import is_alive, this_boot, this_host

TAIL_BYTES = 65536  # enough for the last line of any event file, as the last event is a short one


def read_status(directory: RunDir, queue: Queue | None, now: float | None = None) -> tuple[Facts, Status]:
    """The current facts and status of a run; if a file cannot be read, the status is Damaged."""
    try:
        facts = gather(directory, queue, time.time() if now is None else now)
        return facts, status_of(facts)
    except RunDirError as error:
        return Facts(queue), Damaged(str(error))


def gather(directory: RunDir, queue: Queue | None, now: float) -> Facts:
    """Collect the facts of one run, except those that its status cannot depend on."""
    job = read_job(directory)
    if _is_there(directory.result) and (job is not None or not is_locked(directory.log)):
        # Most runs of a workspace are finished: nothing else needs to be read.
        return Facts(queue, result=read_result(directory), job=job)
    if job is not None:
        return _of_job(directory, queue, job, now)
    process = read_process(directory)
    if process is not None and process.job:
        process = None  # it belongs to a former job; the run is on this machine now
    alive = process is not None and lives(process)
    locked = is_locked(directory.log)
    here = {"boot": this_boot(), "host": this_host()}
    ages = {"event_age": _event_age(directory, process, now), "heartbeat_age": _age(directory.heartbeat, now)}
    if alive or locked:
        return Facts(queue, process, alive=alive, locked=locked, **ages, **here)  # type: ignore[arg-type]
    end = _end_of(directory, process)
    # Read after the process is known to be gone, so that its last writes are not missed.
    result = read_result(directory) if _is_there(directory.result) else None
    last = last_event(directory.events, 0 if process is None else process.events_start)
    return Facts(queue, process, end, result, last, **ages, **here)  # type: ignore[arg-type]


def _of_job(directory: RunDir, queue: Queue | None, job: Job, now: float) -> Facts:
    """The facts of a run on a cluster: its launcher says whether it is alive, local processes and locks do not."""
    process = read_process(directory)
    if process is not None and process.job != job.id:
        process = None
    end = _end_of(directory, process)
    last = last_event(directory.events, process.events_start) if process is not None else None
    age, beat = _event_age(directory, process, now), _age(directory.heartbeat, now)
    return Facts(queue, process, end, None, last, event_age=age, heartbeat_age=beat, job=job)


def _end_of(directory: RunDir, process: Process | None) -> Exit | None:
    """How the worker of this process ended; None if it is not known, or the record is of another attempt."""
    end = read_exit(directory)
    return end if process is not None and end is not None and end.worker == process.worker else None


def _is_there(path: Path) -> bool:
    """Whether this name exists, be it a broken link, which is damage and not a file that is yet to be written."""
    return os.path.lexists(path)


def last_attempt(directory: RunDir) -> str:
    """The identifier of the last attempt, as far as it can be read from the files of a damaged run."""
    try:
        return attempt_of(read_process(directory), read_job(directory))
    except RunDirError:
        return ""


def lives(process: Process) -> bool:
    """Whether a process of an attempt is alive on this machine."""
    return is_alive(process.supervisor) or is_alive(process.worker)


def _event_age(directory: RunDir, process: Process | None, now: float) -> float | None:
    """Seconds since the last event, or since the start of the attempt if that is later."""
    ages = (_age(directory.events, now), _age(directory.process, now) if process else None)
    return min((age for age in ages if age is not None), default=None)


def _age(path: Path, now: float) -> float | None:
    """Seconds since a file was written, at least 0; None if there is no file."""
    try:
        return max(0.0, now - path.stat().st_mtime)
    except OSError:
        return None


def last_event(path: Path, start: int = 0) -> Event | None:
    """The last complete event of a file after the byte offset `start`; None if there is none."""
    try:
        with open_plain(path) as file:
            file.seek(max(start, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            lines = file.read().split(b"\n")[:-1]
    except OSError:
        return None
    return next((event for event in map(from_line, reversed(lines)) if event is not None), None)
