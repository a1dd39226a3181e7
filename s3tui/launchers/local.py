"""Starts the supervisor of a run in a session of its own, so that it outlives its starter and the terminal.

Runs for a cluster are started by `s3tui.launchers.slurm`, by many at a time and without a place: Slurm finds that.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from core.run.rundir import RunDir
from s3tui.devices.placement import Place
from s3tui.system.child import PYTHON, surroundings
from s3tui.system.file_locks import try_lock
from s3tui.system.process_identity import cookie

WORKER = (*PYTHON, "-m", "core")
GRACE_SECONDS = 60.0  # what a worker has to end its step and leave a checkpoint before it is killed


def on_gpus(worker: Sequence[str], gpus: int) -> list[str]:
    """The command of a worker that has so many GPUs: of several, it has a process for each."""
    return [*worker, "--processes", str(gpus)] if gpus > 1 else [*worker]


@dataclass(frozen=True)
class Local:
    """Starts runs on this machine; `command` is the worker, to which the directory of the run is added."""

    command: Sequence[str] = WORKER
    grace: float = GRACE_SECONDS

    def start(
        self, directory: RunDir, place: Place, device: str, leases: Sequence[int]
    ) -> subprocess.Popen[bytes] | None:
        """Start the supervisor. It and the worker inherit the leases, and the lock of the run on `log.txt`."""
        log = try_lock(directory.log)
        if log is None:
            return None
        path = directory.path.absolute()
        supervisor = [*PYTHON, "-m", "s3tui.launchers.supervisor", str(path), str(place), str(self.grace)]
        try:
            return subprocess.Popen(
                [*supervisor, *on_gpus(self.command, len(place.gpus))],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=leases,
                start_new_session=True,
                **surroundings(place.environment(device) | cookie(path)),
            )
        finally:
            os.close(log)
