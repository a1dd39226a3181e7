"""Starts a dispatcher that outlives us and the terminal: `s3tui.scheduling.detached` in a process of its own."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence

from s3tui.launchers.base import WORKER
from s3tui.runs.failure import tail_of
from s3tui.runs.workspace import Workspace
from s3tui.system.child import PYTHON, surroundings

START_SECONDS = 10.0


def start_detached(workspace: Workspace, command: Sequence[str] = WORKER) -> tuple[str, ...]:
    """Start the dispatcher of a workspace; waits until one holds the lock.

    Empty where one does, or nothing is left to do; otherwise the last lines of the one that failed at once.
    """
    log = os.open(workspace.dispatcher_log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    begin = os.fstat(log).st_size
    try:
        child = subprocess.Popen(
            [*PYTHON, "-m", "s3tui.scheduling.detached", str(workspace.path.absolute()), *command],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **surroundings(),
        )  # fmt: skip
    finally:
        os.close(log)
    deadline = time.monotonic() + START_SECONDS
    while child.poll() is None and workspace.dispatcher() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    if not child.poll() or workspace.dispatcher() is not None:
        return ()
    return tail_of(workspace.dispatcher_log, begin) or (f"it ended with exit code {child.returncode} and no message",)
