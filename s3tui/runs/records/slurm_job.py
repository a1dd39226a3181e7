"""The record of a run's Slurm job (`slurm.json`): its state as last reported by Slurm."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Annotated

from core.run.errors import quoted
from core.run.fields import Count, Made, WrongError
from core.run.rundir import RunDir, read_record_if_there, write_json

SUBMITTING = "SUBMITTING"  # ours: sbatch was called and has not answered
LONGEST_ID = 40  # characters
GONE = "GONE"  # ours: Slurm does not know the job any more
# The states in Slurm's manual (squeue, JOB STATE CODES) in which a job is pending or active.
WAITING = frozenset(
    {SUBMITTING, "PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"}
)
AT_WORK = frozenset({"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "RESIZING", "SIGNALING", "STAGE_OUT"})


def _job_id(text: str) -> str:
    """An id as Slurm gives to the tasks of arrays; as it is an argument of scancel and scontrol, it is nothing else."""
    if re.fullmatch(r"([0-9]+(_[0-9]+)?)?", text) is None or len(text) > LONGEST_ID:
        raise WrongError(f"should be the id of a Slurm job as 17_3, not {quoted(text)}")
    return text


@dataclass(frozen=True)
class Job:
    """One task of a job array; `id` is `ARRAY_TASK`, empty until Slurm has assigned it.

    `batch` is the part of the array's name by which it is found if the submitting process died before it wrote the id.
    `exit_code` is in Slurm's form, with the signal after a colon. `held`: whether s3tui holds the job.
    """

    batch: str
    task: Count
    id: Annotated[str, Made(str, _job_id)] = ""
    state: str = SUBMITTING
    reason: str = ""
    node: str = ""
    exit_code: str = ""
    restarts: Count = 0
    held: bool = False

    @property
    def waits(self) -> bool:
        """Whether it has not started, or waits to be restarted."""
        return self.state in WAITING

    @property
    def lives(self) -> bool:
        """Whether it is pending or active in Slurm."""
        return self.waits or self.state in AT_WORK

    @property
    def attempt(self) -> str:
        """The identifier of the attempt."""
        return f"slurm {self.batch}/{self.task}"

    def __str__(self) -> str:
        return " ".join(filter(None, ("slurm", self.id, self.node)))


def array_name(batch: str) -> str:
    """The name of an array in Slurm."""
    return f"s3tui-{batch}"


def read_job(directory: RunDir) -> Job | None:
    """The job of a run; None if it never had one. Raises RunDirError if the file is damaged."""
    return read_record_if_there(directory.slurm, Job)


def write_job(directory: RunDir, job: Job) -> None:
    """Write the record of a job."""
    write_json(directory.slurm, {"v": 1} | asdict(job))
