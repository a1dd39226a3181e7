"""What a cluster reports of jobs, and what is asked of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from s3tui.runs.records.job import End, Job, Phase
from s3tui.runs.records.queue import Queue

Request = Literal["stop", "kill", "cancel", "hold", "release"]


class JobRefusedError(Exception):
    """A cluster refuses what was submitted; the text says why."""


@dataclass(frozen=True)
class Report:
    """The state of one job as its cluster reports it; the fields are those of `Job`.

    `batch` and `task` are there where the cluster knows them, so that a job is found whose id was never written down.
    """

    phase: Phase
    state: str
    end: End = ""
    manner: str = ""
    reason: str = ""
    node: str = ""
    exit_code: str = ""
    restarts: int = 0
    batch: str = ""
    task: int = -1


@dataclass(frozen=True)
class Answer:
    """All jobs of this user by their id; `trouble` says why there is no answer."""

    jobs: Mapping[str, Report] = field(default_factory=dict)
    trouble: str = ""


def request_for(queue: Queue | None, job: Job | None, paused: bool) -> Request | None:
    """What a job has yet to be asked, given what is wanted of its run and whether the whole queue is paused."""
    if job is None or not job.id or not job.lives or queue is None:
        return None
    if queue.wanted == "cancelled":
        return "cancel"
    if not job.waits:
        return "stop" if queue.wanted == "held" else None
    if queue.wanted == "held" or paused:
        return None if job.held else "hold"
    return "release" if job.held else None
