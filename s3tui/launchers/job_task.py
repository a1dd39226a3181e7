"""A job on its node: `python -m s3tui.launchers.job_task RUN_DIR BATCH ID GRACE COMMAND...`.

It becomes the supervisor of its run. No lock is taken, since not every file system has locks that hold across nodes:
the run belongs to the job that its `job.json` names, and a cluster runs a job once at a time.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from core.run.errors import EXIT_OK
from core.run.rundir import RunDir
from s3tui.devices.placement import THREAD_VARIABLES
from s3tui.launchers.start_supervisor import on_gpus
from s3tui.launchers.supervisor import Supervisor, supervise
from s3tui.runs.records.job import read_job
from s3tui.runs.records.queue import read_queue
from s3tui.system.child import FOLDER, safe
from s3tui.system.cpu import usable_cores
from s3tui.system.process_identity import cookie, this_host


def main(arguments: list[str]) -> int:
    """Do the run of a job, unless the run has another job by now."""
    path, batch, id, grace, *command = arguments
    code, _ = run_task(Path(path), batch, id, this_host(), float(grace), command)
    return code


def run_task(
    path: Path,
    batch: str,
    id: str,
    node: str,
    grace: float,
    worker: Sequence[str],
    cores: str = "",
    shared: bool = False,
) -> tuple[int, str]:
    """Supervise the run of a job; its exit code, and what it was asked to end for: see `Exit.asked`.

    The worker has as many threads as the job has `cores`. `shared` says that the cluster sends SIGTERM to the worker
    too.
    """
    run = RunDir(path.resolve())
    job = read_job(run)
    if job is None or job.batch != batch:
        print(f"{run.path} belongs to another job by now; there is nothing to do", flush=True)
        return EXIT_OK, ""
    _be_safe(dict.fromkeys(THREAD_VARIABLES, cores or str(usable_cores())) | cookie(run.path))
    supervisor = Supervisor(run, f"{job.launcher} {id} {node}", grace, id, term_is_shared=shared)
    queue = read_queue(run)
    code = supervise(supervisor, on_gpus(worker, (queue and queue.resources.gpus) or 0))
    return code, supervisor.asked


def _be_safe(more: dict[str, str]) -> None:
    """Be as a child of ours is, which the shell of a job need not be; the worker inherits it."""
    wanted = safe(os.environ | more)
    os.environ.pop("PYTHONPATH", None)
    os.environ.update(wanted)
    os.chdir(FOLDER)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
