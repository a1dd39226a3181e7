"""The batch scripts that a suite would submit, to be looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from s3tui.launchers.local import GRACE_SECONDS, WORKER
from s3tui.launchers.slurm.batch_script import run_array, task_command
from s3tui.launchers.slurm.job_control import arrays
from s3tui.runs.workspace import Workspace
from s3tui.suite.load import PlannedRun, Suite

BATCH = "BATCH"  # stands for what tells an array from all others


def scripts(suite: Suite, runs: Sequence[PlannedRun]) -> Iterator[str]:
    """One script for each array, with the runs that are its tasks."""
    submitted = [run for run in runs if run.queue.launch.is_slurm]
    folder = Workspace(suite.workspace).arrays / BATCH
    for (launch, nicer), group in arrays(submitted):
        text = run_array(folder, len(group), launch, nicer).text(task_command(folder, WORKER, GRACE_SECONDS))
        tasks = "\n".join(f"# task {task}: {suite.name}/{run.name}" for task, run in enumerate(group))
        yield f"{text}\n{tasks}\n"
