"""Ends the processes of a run on this machine, and waits until they have ended."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Sequence

from core.run.errors import RunDirError
from core.run.rundir import RunDir
from s3tui.runs.gather import lives
from s3tui.runs.records.process import Process, read_process
from s3tui.runs.workspace import FoundRun
from s3tui.system.file_locks import is_locked
from s3tui.system.process_identity import is_alive, kill_marked, send

POLL_SECONDS = 0.05
KILL_SECONDS = 10.0  # for the kernel to end what was killed
START_SECONDS = 5.0  # for a run that begins to have a process


def request_end(process: Process, at_once: bool) -> None:
    """Ask a worker for a checkpoint and its end, or end it with all that it started; does not wait."""
    if send(process.supervisor, signal.SIGINT if at_once else signal.SIGTERM):
        return
    send(process.worker, signal.SIGKILL if at_once else signal.SIGTERM)


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


def process_of(directory: RunDir) -> Process | None:
    """The last process of a run, as far as its file can be read."""
    try:
        return read_process(directory)
    except RunDirError:
        return None


def grace_of(run: FoundRun) -> float:
    """The seconds that the worker of a run has to leave a checkpoint."""
    process = process_of(run.directory)
    return process.grace if process else KILL_SECONDS


def wait_for_end(runs: Sequence[FoundRun], at_once: bool, hurry: Callable[[], bool]) -> list[FoundRun]:
    """Wait until all runs have ended; kills what does not within its grace. Gives what lives on."""
    living = {run.name: run for run in runs}
    began = time.monotonic()
    asked: set[str] = set()
    killed: set[str] = set()
    while living:
        waited = time.monotonic() - began
        for name, run in list(living.items()):
            process = process_of(run.directory)
            lives_on = process is not None and lives(process)
            if not lives_on and not is_locked(run.directory.log):
                del living[name]
            elif name not in killed and _is_over(process, lives_on, waited, hurry()):
                killed.add(name)
                kill_all(run.directory)
            elif process is not None and lives_on and name not in asked:
                asked.add(name)  # it may have had no process yet when it was asked first
                request_end(process, at_once)
        if waited > KILL_SECONDS + max(map(grace_of, living.values()), default=0.0):
            break
        time.sleep(POLL_SECONDS)
    return list(living.values())


def _is_over(process: Process | None, lives_on: bool, waited: float, hurry: bool) -> bool:
    """Whether the time of a worker is over. A supervisor sees to that itself, unless it is gone or there is a hurry."""
    if hurry or not lives_on or process is None:
        return hurry or waited > START_SECONDS
    return not is_alive(process.supervisor) and waited > process.grace
