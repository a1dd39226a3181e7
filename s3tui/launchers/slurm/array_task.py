"""The task of a job array on a node: `python -m s3tui.launchers.slurm.array_task RUN_DIR BATCH GRACE COMMAND...`.

It becomes the supervisor of its run. Where the time of the job was over before the run was done, the job is requeued.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from s3tui.launchers.job_task import run_task
from s3tui.system.child import surroundings


def main(arguments: list[str]) -> int:
    """Do the run that a task of an array stands for, unless the run has another job by now."""
    path, batch, grace, *worker = arguments
    environment = os.environ
    id = f"{environment['SLURM_ARRAY_JOB_ID']}_{environment['SLURM_ARRAY_TASK_ID']}"
    cores = environment.get("SLURM_CPUS_PER_TASK") or environment.get("SLURM_CPUS_ON_NODE") or ""
    code, asked = run_task(
        Path(path), batch, id, environment["SLURMD_NODENAME"], float(grace), worker, cores, shared=True
    )
    if asked == "requeue":
        # This ends us as well. Where it is refused, the dispatcher finds what was asked, and submits the run anew.
        subprocess.run(["scontrol", "requeue", environment["SLURM_JOB_ID"]], check=False, **surroundings())
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
