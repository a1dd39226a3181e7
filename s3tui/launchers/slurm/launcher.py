"""Slurm as a launcher: a batch of runs is one job array."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from core.run.errors import nearest
from s3tui.launchers.base import Options
from s3tui.launchers.job_batches import Batch
from s3tui.launchers.job_launcher import JobLauncher
from s3tui.launchers.job_reports import Answer, JobRefusedError, Report, Request
from s3tui.launchers.slurm.client import accounts_of, all_jobs, call, partitions, why_no_slurm
from s3tui.launchers.slurm.options import MAX_TASKS, job_options
from s3tui.runs.records.job import Job

if TYPE_CHECKING:
    from pydantic import BaseModel

COMMANDS: dict[Request, tuple[str, ...]] = {
    "cancel": ("scancel",),
    # To the supervisor, which is what the batch shell has become.
    "stop": ("scancel", "--batch", "--signal=USR2"),
    "kill": ("scancel", "--batch", "--signal=INT"),
    "hold": ("scontrol", "hold"),
    "release": ("scontrol", "release"),
}


class Slurm(JobLauncher):
    """Runs on the cluster of this machine's Slurm. submitit, which takes a while to import, makes its batch scripts."""

    name = "slurm"
    title = "Slurm"
    most_tasks = MAX_TASKS

    def settings(self) -> type[BaseModel]:
        """The keys of its table."""
        from s3tui.launchers.slurm.settings import SlurmSettings

        return SlurmSettings

    def unavailable(self) -> str:
        """Why nothing can be given to Slurm here, empty where it answers."""
        return why_no_slurm()

    def about(self) -> str:
        """Its partitions."""
        return f"answers; partitions {', '.join(partitions())}"

    def submit(self, batch: Batch) -> Sequence[str]:
        """Call sbatch; raises JobRefusedError with what it says."""
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        from s3tui.launchers.slurm.batch_script import run_array, task_command

        try:
            id = run_array(batch).submit_command(task_command(batch))
        except (FailedJobError, FailedSubmissionError) as error:
            message = str(error).removeprefix("sbatch: error: ").strip()
            raise JobRefusedError(message or "sbatch failed without a message") from None
        return [f"{id}_{task}" for task in range(batch.tasks)]

    def ask(self, seconds: float) -> Answer:
        """Ask squeue."""
        return all_jobs(seconds)

    def look_up(self, ids: Sequence[str]) -> Mapping[str, Report]:
        """Ask sacct."""
        return accounts_of(ids) if ids else {}

    def send(self, job: Job, request: Request) -> str:
        """Call scancel or scontrol."""
        return _refusal(*COMMANDS[request], job.id)

    def set_job_priority(self, job: Job, priority: int) -> str:
        """Everybody may be nicer to others; to be less so is for Slurm's administrators."""
        from s3tui.launchers.slurm.batch_script import nice

        return _refusal("scontrol", "update", f"JobId={job.id}", f"Nice={nice(priority)}")

    def script(self, batch: Batch) -> str:
        """The batch script."""
        from s3tui.launchers.slurm.batch_script import run_array, task_command

        return run_array(batch).text(task_command(batch))

    def refusals(self, options: Sequence[Options]) -> Iterator[str]:
        """Unknown partitions, and what `sbatch --test-only` says."""
        known = partitions()
        for one in options:
            unknown = [name for name in job_options(one).partition.split(",") if name and name not in known]
            if unknown:
                rest = nearest(unknown[0], known)
                yield f"launcher.partition: there is no partition {unknown[0]!r} on this cluster, {rest}"
            elif refusal := self._tested(one):
                yield f"launcher: sbatch refuses: {refusal}"

    def _tested(self, options: Options) -> str:
        """Slurm itself knows best: whether the account may, the GPUs are there, the time is within the limit."""
        with tempfile.TemporaryDirectory(prefix="s3tui-") as folder:
            path = Path(folder) / "script.sh"
            path.write_text(self.script(Batch(Path(folder), 1, options, 0, ("true",), 1)), encoding="utf-8")
            code, printed = call("sbatch", "--test-only", str(path))
        return _in_short(printed) if code else ""


def _refusal(*command: str) -> str:
    code, printed = call(*command)
    return (printed or f"{command[0]} failed") if code else ""


def _in_short(printed: str) -> str:
    lines = [line.removeprefix("sbatch: error: ").removeprefix("allocation failure: ") for line in printed.splitlines()]
    return "; ".join(dict.fromkeys(filter(None, lines)))
