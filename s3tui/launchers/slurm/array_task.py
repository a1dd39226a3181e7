"""The task of a job array on a node: `python -m s3tui.launchers.slurm.array_task RUN_DIR BATCH GRACE COMMAND...`.

It becomes the supervisor of its run. No lock is taken, since not every file system has locks that hold across nodes:
the run belongs to the job that its `slurm.json` names, and Slurm runs a job once at a time.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from core.run.errors import EXIT_OK
from core.run.rundir import RunDir
from s3tui.devices.placement import THREAD_VARIABLES
from s3tui.launchers.local import on_gpus
from s3tui.launchers.supervisor import Supervisor, supervise
from s3tui.runs.records.queue import read_queue
from s3tui.runs.records.slurm_job import read_job
from s3tui.system.child import FOLDER, safe, surroundings
from s3tui.system.cpu import usable_cores
from s3tui.system.process_identity import cookie


def main(arguments: list[str]) -> int:
    """Do the run that a task of an array stands for, unless the run has another job by now."""
    path, batch, grace, *command = arguments
    run = RunDir(Path(path).resolve())
    job = read_job(run)
    if job is None or job.batch != batch:
        print(f"{run.path} belongs to another job by now; there is nothing to do", flush=True)
        return EXIT_OK
    id = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    _be_safe(_threads() | cookie(run.path))
    where = f"slurm {id} {os.environ['SLURMD_NODENAME']}"
    supervisor = Supervisor(run, where, float(grace), id)
    queue = read_queue(run)
    code = supervise(supervisor, on_gpus(command, (queue and queue.resources.gpus) or 0))
    if supervisor.asked == "requeue":
        # This ends us as well. Where it is refused, the dispatcher finds what was asked, and submits the run anew.
        subprocess.run(["scontrol", "requeue", os.environ["SLURM_JOB_ID"]], check=False, **surroundings())
    return code


def _be_safe(more: dict[str, str]) -> None:
    """Be as a child of ours is, which the shell of a job need not be; the worker inherits it."""
    wanted = safe(os.environ | more)
    os.environ.pop("PYTHONPATH", None)
    os.environ.update(wanted)
    os.chdir(FOLDER)


def _threads() -> dict[str, str]:
    """As many threads as the job was given cores."""
    cores = os.environ.get("SLURM_CPUS_PER_TASK") or os.environ.get("SLURM_CPUS_ON_NODE") or str(usable_cores())
    return dict.fromkeys(THREAD_VARIABLES, cores)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
