"""The Slurm job of a run: `slurm.json`. Its last known state, told by Slurm and never guessed from processes."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Annotated

from core.run.fields import Count, Made, WrongError, shown
from core.run.rundir import RunDir, read_record_if_there, write_json

SUBMITTING = "SUBMITTING"  # ours: sbatch has been called and has not answered
LONGEST_ID = 40  # characters
GONE = "GONE"  # ours: Slurm does not know it any more
# The states of Slurm's manual (squeue, JOB STATE CODES) from which a job still comes to something.
WAITING = frozenset(
    {SUBMITTING, "PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"}
)
AT_WORK = frozenset({"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "RESIZING", "SIGNALING", "STAGE_OUT"})


def _job_id(text: str) -> str:
    """An id as Slurm gives to the tasks of arrays; as it is an argument of scancel and scontrol, it is nothing else."""
    if re.fullmatch(r"([0-9]+(_[0-9]+)?)?", text) is None or len(text) > LONGEST_ID:
        raise WrongError(f"should be the id of a Slurm job as 17_3, not {shown(text)}")
    return text


@dataclass(frozen=True)
class Job:
    """One task of a job array; `id` is `ARRAY_TASK`, empty until Slurm has told it.

    `batch` is the part of the array's name by which it is found where whoever submitted it died before it wrote the id
    down. `exit_code` is as Slurm writes it, the signal behind a colon. `held` says that we hold it, not somebody else.
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
        """Whether it has not begun, or waits to begin again."""
        return self.state in WAITING

    @property
    def lives(self) -> bool:
        """Whether Slurm will still do something with it."""
        return self.waits or self.state in AT_WORK

    @property
    def attempt(self) -> str:
        """What tells it from all other attempts at the run."""
        return f"slurm {self.batch}/{self.task}"

    def __str__(self) -> str:
        return " ".join(filter(None, ("slurm", self.id, self.node)))


def array_name(batch: str) -> str:
    """What an array is called in Slurm."""
    return f"s3tui-{batch}"


def read_job(directory: RunDir) -> Job | None:
    """The job of a run; None where it never had one, RunDirError where the file is damaged."""
    return read_record_if_there(directory.slurm, Job)


def write_job(directory: RunDir, job: Job) -> None:
    """Write it down."""
    write_json(directory.slurm, {"v": 1} | asdict(job))
