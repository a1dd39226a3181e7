"""What is wanted of a job, told to Slurm: the same wishes that signals tell the processes of a local run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Literal, Protocol, TypeVar

from core.run.rundir import RunDir
from s3tui.launchers.slurm.client import call
from s3tui.runs.records.launch import MAX_TASKS, Launch
from s3tui.runs.records.queue import Queue
from s3tui.runs.records.slurm_job import Job, read_job, write_job

Wish = Literal["", "cancel", "stop", "kill", "hold", "release"]


class Queued(Protocol):
    """A run, found or planned."""

    @property
    def queue(self) -> Queue | None:
        """What is wanted of it."""


R = TypeVar("R", bound=Queued)


def wish_for(queue: Queue | None, job: Job | None, paused: bool) -> Wish:
    """What is yet to be told of a job, given what is wanted of its run and whether the whole queue is paused."""
    if job is None or not job.id or not job.lives or queue is None:
        return ""
    if queue.wanted == "cancelled":
        return "cancel"
    if not job.waits:
        return "stop" if queue.wanted == "held" else ""
    if queue.wanted == "held" or paused:
        return "" if job.held else "hold"
    return "release" if job.held else ""


def tell(directory: RunDir, job: Job, wish: Wish) -> str:
    """Tell Slurm; gives what it says against it, empty where it obeys."""
    commands = {
        "cancel": ("scancel", job.id),
        # To the supervisor, which is what the batch shell has become.
        "stop": ("scancel", "--batch", "--signal=USR2", job.id),
        "kill": ("scancel", "--batch", "--signal=INT", job.id),
        "hold": ("scontrol", "hold", job.id),
        "release": ("scontrol", "release", job.id),
    }
    code, told = call(*commands[wish])
    if code:
        return told or f"{commands[wish][0]} failed"
    if wish in ("hold", "release"):
        now = read_job(directory) or job
        write_job(directory, replace(now, held=wish == "hold"))
    return ""


def prefer(job: Job, priority: int) -> str:
    """Let a waiting job start earlier or later than others; what Slurm says against it, empty where it obeys.

    Everybody may be nicer to others; to be less so is for Slurm's administrators.
    """
    code, told = call("scontrol", "update", f"JobId={job.id}", f"Nice={nice(priority)}")
    return told or "scontrol failed" if code else ""


def nice(priority: int) -> int:
    """A priority as Slurm counts it: what is subtracted from that of the job."""
    return -priority


def arrays(runs: Iterable[R]) -> Iterator[tuple[tuple[Launch, int], list[R]]]:
    """The runs as the tasks of arrays, in their order: for each array what its runs ask for and how nice they are."""
    alike: dict[tuple[Launch, int], list[R]] = {}
    for run in runs:
        queue = run.queue or Queue()
        alike.setdefault((queue.launch, nice(queue.priority)), []).append(run)
    for key, group in alike.items():
        for start in range(0, len(group), MAX_TASKS):
            yield key, group[start : start + MAX_TASKS]
