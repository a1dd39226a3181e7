"""The batch script of an array of runs, made and submitted by submitit."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from submitit.slurm.slurm import SlurmExecutor

from s3tui.runs.records.launch import MAX_TASKS, Launch
from s3tui.runs.records.slurm_job import array_name
from s3tui.system.child import FOLDER, PYTHON


class RunArray(SlurmExecutor):
    """An array whose tasks are runs.

    submitit writes the script, calls sbatch and understands its answer. Its own jobs are pickled functions whose
    results are pickled too; a run is a command that keeps its results itself, so only the command is handed over.
    """

    @classmethod
    def affinity(cls) -> int:
        """A script can be looked at where there is no Slurm."""
        return 2

    def text(self, command: str) -> str:
        """The script."""
        return self._make_submission_file_text(command, "")

    def submit_command(self, command: str) -> str:
        """The id of the array; raises submitit's FailedJobError with what sbatch said."""
        return str(self._submit_command(command).job_id)


def run_array(folder: Path, runs: int, launch: Launch, nice: int) -> RunArray:
    """An array of so many runs. `folder` holds a link to each, named 0, 1, ...; what Slurm prints is in their logs."""
    array = RunArray(folder)
    array.update_parameters(**_parameters(array.folder, launch, nice))
    array.parameters["map_count"] = runs
    return array


def _parameters(folder: Path, launch: Launch, nice: int) -> dict[str, Any]:
    more: dict[str, Any] = {
        # To the batch shell alone, which is our supervisor; submitit's own signal would go to steps: there are none.
        "signal": f"B:USR1@{launch.warn_seconds}",
        "requeue": True,
        "output": os.fspath(folder).replace("%", "%%") + "/%a/log.txt",
        "chdir": FOLDER,
    }
    return {
        "job_name": array_name(folder.name),
        # What is None is left out, so that the cluster's own default holds and not submitit's.
        "partition": launch.partition or None,
        "account": launch.account or None,
        "qos": launch.qos or None,
        "gres": launch.gres or None,
        "constraint": launch.constraint or None,
        "exclude": launch.exclude or None,
        "time": launch.time or None,
        "cpus_per_task": launch.cpus or None,
        "mem": f"{launch.memory // 2**20}M" if launch.memory else None,
        "wckey": None,
        "array_parallelism": launch.parallel or MAX_TASKS,
        "setup": list(launch.setup) or None,
        "use_srun": False,
        "stderr_to_stdout": True,
        "additional_parameters": more | ({"nice": nice} if nice else {}) | dict(launch.sbatch),
    }


def task_command(folder: Path, worker: Sequence[str], grace: float) -> str:
    """What each task does: become the supervisor of its run, so that Slurm's signals reach it and no shell."""
    start = [*PYTHON, "-m", "s3tui.launchers.slurm.array_task"]
    link = f'{shlex.quote(os.fspath(folder))}/"$SLURM_ARRAY_TASK_ID"'
    return f"exec {shlex.join(start)} {link} {shlex.quote(folder.name)} {grace:g} {shlex.join(worker)}"
