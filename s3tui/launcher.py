"""Starts and ends workers. A worker lives in a session of its own and writes to a file, so it outlives its starter."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.run.errors import RunDirError
from core.run.rundir import RunDir
from s3tui.devices import Slot

# The safe path keeps a `core` folder of the user's from being taken for ours; Python 3.10 has no -P.
WORKER = (sys.executable, *(("-P",) if sys.version_info >= (3, 11) else ()), "-m", "core")
GRACE_SECONDS = 10.0  # what a worker has to leave a checkpoint before it is killed


@dataclass
class Process:
    """A worker that was started; `log_start` is where its output begins in `log.txt`."""

    popen: subprocess.Popen[bytes]
    log_start: int

    def exit_code(self) -> int | None:
        """None while it runs; negative is the signal that ended it."""
        return self.popen.poll()


def start(directory: RunDir, slot: Slot, device: str, command: Sequence[str] = WORKER) -> Process:
    """Start the worker of a run; raises RunDirError where one works on it already.

    The lock is on the open `log.txt`, which the worker inherits as its stdout: it holds for as long as the worker
    or any child of it lives, however they end, and no longer.
    """
    with directory.log.open("ab") as log:
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunDirError(f"{directory.path} is being worked on", "wait for it, or stop it") from None
        log_start = log.tell()
        popen = subprocess.Popen(
            [*command, str(directory.path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=directory.path,
            env=os.environ | slot.environment(device) | {"PYTHONSAFEPATH": "1"},
            start_new_session=True,
        )
        return Process(popen, log_start)


def is_running(directory: RunDir) -> bool:
    """Whether a worker, whoever started it, works on this run."""
    try:
        with directory.log.open("rb") as log:
            fcntl.flock(log, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def terminate(
    processes: Sequence[Process], grace_seconds: float = GRACE_SECONDS, hurry: Callable[[], bool] = lambda: False
) -> None:
    """Ask all of them to end, wait a bounded time (or until `hurry`), then kill their whole process groups."""
    pids = [process.popen.pid for process in processes if process.exit_code() is None]
    for pid in pids:
        _signal_group(pid, signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    try:
        while not all(map(_has_ended, pids)) and time.monotonic() < deadline and not hurry():
            time.sleep(0.05)
    finally:
        # Also where the leader has ended: its children may live. It is not reaped yet, so the id is still its own.
        for pid in pids:
            _signal_group(pid, signal.SIGKILL)
        for process in processes:
            process.popen.wait()


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _has_ended(pid: int) -> bool:
    """Whether a child has ended, leaving it to be reaped later."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
