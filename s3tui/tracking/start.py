"""Starts the processes that mirror runs into trackers."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

from s3tui.runs.workspace import Workspace
from s3tui.system.child import PYTHON, surroundings
from s3tui.text.sanitize import clean


def start_mirrors(workspace: Workspace, name: str, trackers: Sequence[str]) -> list[subprocess.Popen[bytes]]:
    """Start a mirror process for each tracker of an attempt, in its own session; their stderr is the run's log."""
    if not trackers:
        return []
    log = os.open(workspace.run(name).log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        return [start_follower(workspace, name, tracker, log, new_session=True) for tracker in trackers]
    except OSError as error:
        os.write(log, f"s3tui mirror: no tracker could be started: {clean(str(error))}\n".encode())
        return []
    finally:
        os.close(log)


def start_follower(
    workspace: Workspace, name: str, tracker: str, log: int | None, new_session: bool
) -> subprocess.Popen[bytes]:
    """Start the process that mirrors one run into one tracker, with `log` as its stderr."""
    return subprocess.Popen(
        [*PYTHON, "-m", "s3tui.tracking.follow", str(workspace.path.absolute()), name, tracker],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, start_new_session=new_session,
        **surroundings({"OMP_NUM_THREADS": "1"}),
    )  # fmt: skip
