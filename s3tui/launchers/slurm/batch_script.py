"""The batch script of an array of runs, made and submitted by submitit."""

from __future__ import annotations

import os
import shlex
from typing import Any

from submitit.slurm.slurm import SlurmExecutor

from s3tui.launchers.job_batches import Batch
from s3tui.launchers.slurm.client import NAME
from s3tui.launchers.slurm.options import MAX_TASKS, JobOptions, job_options
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


def run_array(batch: Batch) -> RunArray:
    """A batch as an array; what Slurm prints goes into the logs of the runs.

    Raises JobRefusedError where its options cannot be read.
    """
    array = RunArray(batch.folder)
    array.update_parameters(**_parameters(os.fspath(array.folder), batch, job_options(batch.options)))
    array.parameters["map_count"] = batch.tasks
    return array


def nice(priority: int) -> int:
    """A priority as Slurm counts it: what is subtracted from that of the job."""
    return -priority


def _parameters(folder: str, batch: Batch, options: JobOptions) -> dict[str, Any]:
    more: dict[str, Any] = {
        # To the batch shell alone, which is our supervisor; submitit's own signal would go to steps: there are none.
        "signal": f"B:USR1@{options.warn_seconds}",
        "requeue": True,
        "output": folder.replace("%", "%%") + "/%a/log.txt",
        "chdir": FOLDER,
    }
    return {
        "job_name": NAME + batch.name,
        # What is None is left out, so that the cluster's own default holds and not submitit's.
        "partition": options.partition or None,
        "account": options.account or None,
        "qos": options.qos or None,
        "gres": options.gres or None,
        "constraint": options.constraint or None,
        "exclude": options.exclude or None,
        "time": options.time or None,
        "cpus_per_task": options.cpus or None,
        "mem": f"{options.memory // 2**20}M" if options.memory else None,
        "wckey": None,
        "array_parallelism": options.parallel or MAX_TASKS,
        "setup": list(options.setup) or None,
        "use_srun": False,
        "stderr_to_stdout": True,
        "additional_parameters": more | _nice(batch.priority) | dict(options.sbatch),
    }


def _nice(priority: int) -> dict[str, int]:
    return {"nice": nice(priority)} if priority else {}


def task_command(batch: Batch) -> str:
    """What each task does: become the supervisor of its run, so that Slurm's signals reach it and no shell."""
    start = [*PYTHON, "-m", "s3tui.launchers.slurm.array_task"]
    link = f'{shlex.quote(os.fspath(batch.folder))}/"$SLURM_ARRAY_TASK_ID"'
    return f"exec {shlex.join(start)} {link} {shlex.quote(batch.name)} {batch.grace:g} {shlex.join(batch.worker)}"
