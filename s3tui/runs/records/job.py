"""The job of a run: `job.json`. Its last known state, as the launcher reported it and never guessed from processes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from core.run.fields import Count
from core.run.rundir import RunDir, read_record_if_there, write_json
from s3tui.runs.records.former_job import FormerJob
from s3tui.runs.records.job_id import JobId

Phase = Literal["waiting", "working", "ended"]
# How the cluster ended a job: "" where the worker ended by itself, "restart" where the run may simply start again.
End = Literal["", "cancelled", "restart", "crash", "out-of-memory"]
GONE = "GONE"  # the state of a job that its cluster does not know any more


@dataclass(frozen=True)
class Job:
    """One task of a batch of jobs; `id` is the launcher's, empty until it has given one.

    `batch` names the jobs that were submitted together: by it and `task` a job is found again where whoever submitted
    it died before the id was written down. `phase` and `end` say what the launcher's own `state` amounts to, and
    `manner` how it ended, in words. `exit_code` is written as the launcher writes it. `held` says that s3tui holds the
    job, not somebody else.
    """

    launcher: str
    batch: str
    task: Count
    id: JobId = ""
    phase: Phase = "waiting"
    end: End = ""
    state: str = ""
    manner: str = ""
    reason: str = ""
    node: str = ""
    exit_code: str = ""
    restarts: Count = 0
    held: bool = False

    @property
    def waits(self) -> bool:
        """Whether it has not begun, or waits to begin again."""
        return self.phase == "waiting"

    @property
    def lives(self) -> bool:
        """Whether the cluster will still do something with it."""
        return self.phase != "ended"

    @property
    def attempt(self) -> str:
        """Identifies the attempt at the run that this job is."""
        return f"{self.launcher} {self.batch}/{self.task}"

    def __str__(self) -> str:
        return " ".join(filter(None, (self.launcher, self.id, self.node)))


def read_job(directory: RunDir) -> Job | None:
    """The job of a run; None where it never had one, RunDirError where the file is damaged."""
    job = read_record_if_there(directory.job, Job)
    if job is not None:
        return job
    former = read_record_if_there(directory.former_job, FormerJob)
    return None if former is None else Job(directory.former_job.stem, **former.fields())


def write_job(directory: RunDir, job: Job) -> None:
    """Write the record of a job; one of version 0.1 beside it does not count any more."""
    write_json(directory.job, {"v": 1} | asdict(job))


def forget_job(directory: RunDir) -> None:
    """Delete the record."""
    for path in (directory.former_job, directory.job):
        path.unlink(missing_ok=True)
