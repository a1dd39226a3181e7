"""Gives runs to Slurm as one array. A run knows its array before sbatch is called, so that none is lost or doubled."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from core.run.rundir import RunDir
from s3tui.runs.records.launch import Launch
from s3tui.runs.records.slurm_job import Job, write_job
from s3tui.runs.workspace import Workspace


def submit_array(
    workspace: Workspace, runs: Sequence[RunDir], launch: Launch, nice: int, worker: Sequence[str], grace: float
) -> str:
    """Submit runs that ask for the same as the tasks of one array; what sbatch says against it, empty if nothing."""
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    from s3tui.launchers.slurm.batch_script import run_array, task_command

    folder = _folder(workspace, runs)
    jobs = [Job(folder.name, task) for task in range(len(runs))]
    for run, job in zip(runs, jobs, strict=True):
        write_job(run, job)
    try:
        array = run_array(folder, len(runs), launch, nice)
        id = array.submit_command(task_command(folder, worker, grace))
    except (FailedJobError, FailedSubmissionError, OSError) as error:
        for run in runs:
            run.slurm.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        return str(error).removeprefix("sbatch: error: ").strip() or "sbatch failed and told nothing"
    for run, job in zip(runs, jobs, strict=True):
        write_job(run, replace(job, id=f"{id}_{job.task}", state="PENDING"))
    return ""


def _folder(workspace: Workspace, runs: Sequence[RunDir]) -> Path:
    """A folder of the array, with a link to each run."""
    folder = workspace.arrays.resolve() / secrets.token_hex(4)
    folder.mkdir(parents=True)
    for task, run in enumerate(runs):
        (folder / str(task)).symlink_to(run.path.resolve())
        with contextlib.suppress(FileExistsError):
            run.log.touch(exist_ok=False)
    return folder
