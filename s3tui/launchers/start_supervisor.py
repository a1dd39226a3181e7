"""Starts the supervisor of a run on this machine, in a session of its own: it outlives its starter and the terminal."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

from core.run.rundir import RunDir
from s3tui.devices.placement import Place
from s3tui.launchers.base import GRACE_SECONDS, WORKER
from s3tui.system.child import PYTHON, surroundings
from s3tui.system.file_locks import try_lock
from s3tui.system.process_identity import cookie


def on_gpus(worker: Sequence[str], gpus: int) -> list[str]:
    """The command of a worker that has so many GPUs: of several, it has a process for each."""
    return [*worker, "--processes", str(gpus)] if gpus > 1 else [*worker]


def start_supervisor(
    directory: RunDir,
    place: Place,
    device: str,
    leases: Sequence[int],
    worker: Sequence[str] = WORKER,
    grace: float = GRACE_SECONDS,
) -> subprocess.Popen[bytes] | None:
    """Start the supervisor of a run; None where another process works on the run.

    It and the worker inherit the leases, and the lock of the run on `log.txt`.
    """
    log = try_lock(directory.log)
    if log is None:
        return None
    path = directory.path.absolute()
    supervisor = [*PYTHON, "-m", "s3tui.launchers.supervisor", str(path), str(place), str(grace)]
    try:
        return subprocess.Popen(
            [*supervisor, *on_gpus(worker, len(place.gpus))],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=leases,
            start_new_session=True,
            **surroundings(place.environment(device) | cookie(path)),
        )
    finally:
        os.close(log)
