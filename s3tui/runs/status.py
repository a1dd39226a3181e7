"""Where a run stands: one of nine states, each with what is valid for it alone. Never a guess.

It follows from facts in the files of the run and from whether its processes live, in this order: damaged files; a
live worker; a result; what is wanted of the run; how its last attempt ended. On a cluster the launcher says what lives.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from core.run.events import Event, Failed, Finished
from s3tui.runs.records.job import Job
from s3tui.runs.records.process import Exit, Process
from s3tui.runs.records.queue import Queue
from s3tui.runs.records.result import Result

QUIET_SECONDS = 60.0  # without an event: a step of a large model takes seconds
HEARTBEAT_SECONDS = 30.0  # six beats missed: it does not even do that


@dataclass(frozen=True)
class Status:
    """What all states share: the name of the state."""

    name: ClassVar[str] = ""

    @property
    def note(self) -> str:
        """What there is to say beside the name, in words."""
        return ""


@dataclass(frozen=True)
class Queued(Status):
    """It waits for its turn; the dispatcher knows why."""

    name: ClassVar[str] = "queued"
    since: float
    not_before: float = 0.0
    reason: str = ""

    @property
    def note(self) -> str:
        """Why it waits, as far as the run itself knows."""
        return self.reason


@dataclass(frozen=True)
class Running(Status):
    """Its worker lives and tells of its work. `process` is None for a moment, while it starts."""

    name: ClassVar[str] = "running"
    process: Process | None
    stopping: bool = False

    @property
    def note(self) -> str:
        """Where it runs."""
        where = self.process.where if self.process else "starting"
        return f"{where}, stopping" if self.stopping else where


@dataclass(frozen=True)
class Quiet(Status):
    """Its worker lives but has told nothing for `seconds`; `heartbeat` is how long ago it gave a sign of life."""

    name: ClassVar[str] = "quiet"
    process: Process
    seconds: float
    heartbeat: float | None
    stopping: bool = False

    @property
    def note(self) -> str:
        """How long it has been quiet, and whether it gives signs of life."""
        told = f"{self.process.where}, no event for {self.seconds:.0f} s"
        if self.heartbeat is None:
            return told
        sign = "alive" if self.heartbeat < HEARTBEAT_SECONDS else f"no sign of life for {self.heartbeat:.0f} s"
        return f"{told}, {sign}"


@dataclass(frozen=True)
class Paused(Status):
    """It is held: it goes on when somebody says so."""

    name: ClassVar[str] = "paused"
    reason: str

    @property
    def note(self) -> str:
        """Why."""
        return self.reason


@dataclass(frozen=True)
class Done(Status):
    """It has a result."""

    name: ClassVar[str] = "finished"
    result: Result


@dataclass(frozen=True)
class Broken(Status):
    """It ended on an error of its own."""

    name: ClassVar[str] = "failed"
    kind: str
    message: str
    hint: str
    reason: str = ""

    @property
    def note(self) -> str:
        """The error and what to do, and why it was not tried again."""
        return "; ".join(filter(None, (": ".join(filter(None, (self.kind, self.message, self.hint))), self.reason)))


@dataclass(frozen=True)
class Cancelled(Status):
    """Somebody took it out of the queue for good; the reason is there where that was not by s3tui."""

    name: ClassVar[str] = "cancelled"
    reason: str = ""

    @property
    def note(self) -> str:
        """How, if not by s3tui."""
        return self.reason


@dataclass(frozen=True)
class Dead(Status):
    """Its worker is gone without a word; `manner` is how, as far as it can be known."""

    name: ClassVar[str] = "dead"
    manner: str
    kind: str
    reason: str = ""

    @property
    def note(self) -> str:
        """How it ended, and why it was not tried again."""
        return "; ".join(filter(None, (self.manner, self.reason)))


@dataclass(frozen=True)
class Damaged(Status):
    """A file of the run cannot be read; the problem names it."""

    name: ClassVar[str] = "damaged"
    problem: str

    @property
    def note(self) -> str:
        """Which file, and what is wrong with it."""
        return self.problem


STATES = tuple(state.name for state in (Queued, Running, Quiet, Paused, Done, Broken, Cancelled, Dead, Damaged))


@dataclass(frozen=True)
class Facts:
    """What is known of a run at one moment. Ages are in seconds, None where there is no such file."""

    queue: Queue | None = None
    process: Process | None = None
    exit: Exit | None = None  # of this very process
    result: Result | None = None
    last: Event | None = None  # the last event of the last attempt, read once its process is gone
    alive: bool = False  # this very process lives on this machine
    locked: bool = False  # somebody works on the run, whoever it is
    event_age: float | None = None
    heartbeat_age: float | None = None
    boot: str = ""
    host: str = ""
    job: Job | None = None  # of the last attempt, where that was given to a cluster


def status_of(facts: Facts) -> Status:
    """The state that the facts amount to."""
    if facts.alive or facts.locked or _lives_elsewhere(facts):
        return _live(facts)
    if facts.result is not None:
        return Done(facts.result)
    if facts.job is not None and facts.job.lives and not _is_over(facts.exit):
        return _in_queue(facts, facts.job)
    queue = facts.queue
    if queue is not None and queue.wanted == "cancelled":
        return Cancelled(queue.reason)
    if queue is not None and queue.wanted == "queued" and _is_answered(facts, queue):
        return Queued(queue.submitted, queue.not_before, queue.reason)
    return _ended(facts)


def _is_over(end: Exit | None) -> bool:
    """Whether a worker in a job that lives has ended by itself; what was asked to end may come back in the same job."""
    return end is not None and not end.asked


def _is_answered(facts: Facts, queue: Queue) -> bool:
    """Whether the last attempt, if there was any, is no news."""
    attempt = attempt_of(facts.process, facts.job)
    return not attempt or queue.settled == attempt


def attempt_of(process: Process | None, job: Job | None = None) -> str:
    """What tells one attempt at a run from all others; empty before the first. A job is one, however often requeued."""
    if job is not None:
        return job.attempt
    if process is None:
        return ""
    worker = process.worker
    return f"{worker.boot}/{worker.pid}/{worker.start}"


def _lives_elsewhere(facts: Facts) -> bool:
    """Whether its worker gives signs of life from another machine, on files that both share."""
    if facts.process is None or facts.process.host == facts.host or facts.heartbeat_age is None or facts.job:
        return False
    return facts.exit is None and facts.heartbeat_age < HEARTBEAT_SECONDS


def _in_queue(facts: Facts, job: Job) -> Status:
    """What a job amounts to that its cluster still has."""
    queue = facts.queue or Queue()
    if not job.waits:
        # The process of before a requeue is none of this one.
        return _live(facts) if facts.exit is None else Running(None, queue.wanted != "queued")
    if queue.wanted == "cancelled":
        return Cancelled(queue.reason)
    if queue.wanted == "held":
        return Paused(queue.reason or "held")
    told = job.reason or job.state.lower()
    return Queued(queue.submitted, 0.0, f"{job}: {told}" if job.id else f"being submitted to {job.launcher}")


def _live(facts: Facts) -> Status:
    stopping = facts.queue is not None and facts.queue.wanted != "queued"
    process = facts.process
    # A lock without the process that was last written down: the next attempt is about to begin.
    if process is None or (facts.locked and not facts.alive and process.host == facts.host):
        return Running(None, stopping)
    silent = facts.event_age
    if silent is not None and silent > QUIET_SECONDS:
        return Quiet(process, silent, facts.heartbeat_age, stopping)
    return Running(process, stopping)


def _ended(facts: Facts) -> Status:
    """What the end of the last attempt amounts to."""
    reason = facts.queue.reason if facts.queue else ""
    if facts.job is not None and (told := _ended_by_cluster(facts, facts.job, reason)) is not None:
        return told
    if isinstance(facts.last, Failed):
        return _failed(facts, facts.last, reason)
    if facts.process is None:
        return Paused(reason or "not in the queue")
    if facts.exit is not None and facts.exit.asked:
        return Paused(reason or "killed before it could leave a checkpoint")
    if isinstance(facts.last, Finished) or (facts.exit is not None and facts.exit.code == 0):
        return Broken("rundir", "it ended well, but result.json is missing", "s3tui retry does it again", reason)
    return Dead(*manner_of_death(facts), reason)


def _ended_by_cluster(facts: Facts, job: Job, reason: str) -> Status | None:
    """The end of a job as its cluster reports it; None where the run itself knows better."""
    if _is_over(facts.exit) and job.end != "out-of-memory":
        return None
    asked = facts.exit.asked if facts.exit is not None else ""
    if job.end == "cancelled":
        return Cancelled(job.manner)
    if asked == "too slow":
        told = "no checkpoint was reached within the time of its job"
        return Broken("time-limit", told, "ask for more time in [launcher], or lower checkpoint_every", reason)
    if asked == "requeue" and job.end != "restart":
        return Dead("the time of its job was over", "restart", reason)
    if job.end:
        return Dead(job.manner, job.end, reason)
    queue = facts.queue
    if facts.process is None and queue is not None and queue.wanted == "held" and queue.settled != job.attempt:
        return Paused(reason or "stopped before its worker began")
    if facts.process is None or (facts.exit is None and not isinstance(facts.last, (Failed, Finished))):
        began = "told nothing" if facts.process is not None else "its worker did not begin"
        code = f" with exit code {job.exit_code.removesuffix(':0')}" if job.exit_code else ""
        return Dead(f"its job ended as {job.state}{code} and {began}; its log tells", "crash", reason)
    return None


def _failed(facts: Facts, told: Failed, reason: str) -> Status:
    if told.kind != "stopped":
        return Broken(told.kind, told.message, told.hint, reason)
    held = facts.queue is None or facts.queue.wanted == "held"
    if not held and facts.process is not None and _restarted(facts, facts.process):
        return Dead("the machine was restarted", "restart")
    return Paused(reason or told.message)


def _restarted(facts: Facts, process: Process) -> bool:
    return process.host == facts.host and process.worker.boot != facts.boot


def manner_of_death(facts: Facts) -> tuple[str, str]:
    """How a worker went that said nothing, and in a word: a kind as those of errors."""
    process, end = facts.process, facts.exit
    assert process is not None
    if end is not None and end.out_of_memory:
        return "killed by the kernel: out of memory", "out-of-memory"
    if end is not None and end.signal is not None:
        return f"the worker was ended by {end.signal}", "crash"
    if end is not None:
        return f"the worker ended with exit code {end.code} and told nothing", "crash"
    if process.host != facts.host:
        return f"it ran on {process.host}, and is not there any more or cannot be seen from here", "moved"
    if _restarted(facts, process):
        return "the machine was restarted", "restart"
    return "the worker and its supervisor are gone; how they ended is not known", "crash"


def signature(status: Broken | Dead) -> str:
    """How a run failed, without the numbers in it, to tell whether it fails the same way twice."""
    told = status.message if isinstance(status, Broken) else status.manner
    return re.sub(r"\d+(\.\d+)?", "#", f"{status.kind}: {told}")
