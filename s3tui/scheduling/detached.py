"""A dispatcher without a terminal: `python -m s3tui.scheduling.detached WORKSPACE [COMMAND...]`.

It ends when the queue is empty.
SIGTERM and SIGINT end it; the runs go on, and the next dispatcher adopts them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from s3tui.devices.nvml import visible_gpus
from s3tui.launchers.local import WORKER, Local
from s3tui.runs.failure import tail_of
from s3tui.runs.index import Board
from s3tui.runs.workspace import Workspace
from s3tui.scheduling.dispatcher import Dispatcher, dispatching
from s3tui.system.child import PYTHON, surroundings
from s3tui.system.signals import Interrupts

POLL_SECONDS = 0.25
START_SECONDS = 10.0


def start_detached(workspace: Workspace, command: Sequence[str] = WORKER) -> tuple[str, ...]:
    """Start a dispatcher that outlives us and the terminal; waits until one holds the lock.

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
    return tail_of(workspace.dispatcher_log, begin) or (f"it ended with {child.returncode} and said nothing",)


def dispatch_all(workspace: Workspace, command: Sequence[str]) -> None:
    """Dispatch until nothing is left to do, a signal comes, or another dispatcher is found at it."""
    dispatcher = Dispatcher(Board(workspace), Local(command), visible_gpus)
    with Interrupts() as interrupts:
        while not interrupts.received:
            with dispatching(workspace) as ours:
                while ours and not interrupts.received:
                    before = dispatcher.trouble
                    dispatcher.tick()
                    if dispatcher.trouble and dispatcher.trouble != before:
                        print(f"{dispatcher.trouble}; trying again", flush=True)
                    if not dispatcher.has_work and not dispatcher.trouble:
                        break
                    time.sleep(POLL_SECONDS)
            # Something may have come into the queue before the lock was let go of.
            dispatcher.board.refresh()
            if not ours or not dispatcher.has_work:
                return


def main(arguments: list[str]) -> int:
    """Be the dispatcher of the workspace that the arguments name."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    path, *command = arguments
    dispatch_all(Workspace(Path(path)), command or WORKER)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
