"""Run status: a closed union of nine states, derived from files and live processes.

It is derived from the files of the run and from whether its processes are alive, in this order: damaged files; a live
worker; a result; the requested state; the end of the last attempt. On a cluster the launcher says what is alive.
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

QUIET_SECONDS = 60.0  # without an event; a step of a large model takes seconds
HEARTBEAT_SECONDS = 30.0  # without a heartbeat: six were missed
KILL = "kill"  # of the kinds of death: somebody else ended the worker, which says nothing about the run
KILLERS = frozenset({"SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"})  # others a process brings on itself


@dataclass(frozen=True)
class Status:
    """The base class of all states: the name of the state."""

    name: ClassVar[str] = ""

    @property
    def note(self) -> str:
        """Details of the state in words; may be empty."""
        return ""


@dataclass(frozen=True)
class Queued(Status):
    """Waiting in the queue; the dispatcher knows why."""

    name: ClassVar[str] = "queued"
    since: float
    not_before: float = 0.0
    reason: str = ""

    @property
    def note(self) -> str:
        """Why it waits, as far as its own files say."""
        return self.reason


@dataclass(frozen=True)
class Running(Status):
    """The worker is alive and writes events. `process` is None for a moment while it starts."""

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
    """The worker is alive but wrote no event for `seconds`; `heartbeat` is the age of the last heartbeat in seconds."""

    name: ClassVar[str] = "quiet"
    process: Process
    seconds: float
    heartbeat: float | None
    stopping: bool = False

    @property
    def note(self) -> str:
        """How long it has been quiet, and whether there are heartbeats."""
        quiet = f"{self.process.where}, no event for {self.seconds:.0f} s"
        if self.heartbeat is None:
            return quiet
        sign = "alive" if self.heartbeat < HEARTBEAT_SECONDS else f"no sign of life for {self.heartbeat:.0f} s"
        return f"{quiet}, {sign}"


@dataclass(frozen=True)
class Paused(Status):
    """Held: it continues when the user resumes it."""

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
    """It ended with an error that the worker reported."""

    name: ClassVar[str] = "failed"
    kind: str
    message: str
    hint: str
    reason: str = ""

    @property
    def note(self) -> str:
        """The error, what to do, and why it was not retried."""
        return "; ".join(filter(None, (": ".join(filter(None, (self.kind, self.message, self.hint))), self.reason)))


@dataclass(frozen=True)
class Cancelled(Status):
    """Cancelled for good; there is a reason if that was not done with s3tui."""

    name: ClassVar[str] = "cancelled"
    reason: str = ""

    @property
    def note(self) -> str:
        """How it was cancelled, if not with s3tui."""
        return self.reason


@dataclass(frozen=True)
class Dead(Status):
    """The worker died without reporting an error; `manner` is how, as far as known."""

    name: ClassVar[str] = "dead"
    manner: str
    kind: str
    reason: str = ""

    @property
    def note(self) -> str:
        """How it ended, and why it was not retried."""
        return "; ".join(filter(None, (self.manner, self.reason)))


@dataclass(frozen=True)
class Damaged(Status):
    """A file of the run cannot be read; `problem` names it."""

    name: ClassVar[str] = "damaged"
    problem: str

    @property
    def note(self) -> str:
        """Which file, and what is wrong with it."""
        return self.problem


STATES = tuple(state.name for state in (Queued, Running, Quiet, Paused, Done, Broken, Cancelled, Dead, Damaged))


@dataclass(frozen=True)
class Facts:
    """The facts of a run that determine its status. Ages are in seconds, None if there is no such file."""

    queue: Queue | None = None
    process: Process | None = None
    exit: Exit | None = None  # the end of `process`
    result: Result | None = None
    last: Event | None = None  # the last event of the last attempt, read after its process is gone
    alive: bool = False  # `process` is alive on this machine
    locked: bool = False  # some process holds the lock of the run
    event_age: float | None = None
    heartbeat_age: float | None = None
    boot: str = ""
    host: str = ""
    job: Job | None = None  # of the last attempt, if that was submitted to a cluster


def status_of(facts: Facts) -> Status:
    """The status that follows from the facts."""
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
    """Whether a worker in a live job ended by itself; one that was asked to end may be requeued in the same job."""
    return end is not None and not end.asked


def _is_answered(facts: Facts, queue: Queue) -> bool:
    """Whether the end of the last attempt, if any, was dealt with already."""
    attempt = attempt_of(facts.process, facts.job)
    return not attempt or queue.settled == attempt


def attempt_of(process: Process | None, job: Job | None = None) -> str:
    """The identifier of an attempt; empty before the first. A job is one attempt, however often it is requeued."""
    if job is not None:
        return job.attempt
    if process is None:
        return ""
    worker = process.worker
    return f"{worker.boot}/{worker.pid}/{worker.start}"


def _lives_elsewhere(facts: Facts) -> bool:
    """Whether its worker is alive on another machine, judged by heartbeats in shared files."""
    if facts.process is None or facts.process.host == facts.host or facts.heartbeat_age is None or facts.job:
        return False
    return facts.exit is None and facts.heartbeat_age < HEARTBEAT_SECONDS


def _in_queue(facts: Facts, job: Job) -> Status:
    """The status of a run whose job its cluster still has."""
    queue = facts.queue or Queue()
    if not job.waits:
        # A process from before a requeue does not count.
        return _live(facts) if facts.exit is None else Running(None, queue.wanted != "queued")
    if queue.wanted == "cancelled":
        return Cancelled(queue.reason)
    if queue.wanted == "held":
        return Paused(queue.reason or "held")
    reason = job.reason or job.state.lower()
    return Queued(queue.submitted, 0.0, f"{job}: {reason}" if job.id else f"being submitted to {job.launcher}")


def _live(facts: Facts) -> Status:
    stopping = facts.queue is not None and facts.queue.wanted != "queued"
    process = facts.process
    # The lock is held but the recorded process is gone: the next attempt is about to begin.
    if process is None or (facts.locked and not facts.alive and process.host == facts.host):
        return Running(None, stopping)
    silent = facts.event_age
    if silent is not None and silent > QUIET_SECONDS:
        return Quiet(process, silent, facts.heartbeat_age, stopping)
    return Running(process, stopping)


def _ended(facts: Facts) -> Status:
    """The status that follows from the end of the last attempt."""
    reason = facts.queue.reason if facts.queue else ""
    if facts.job is not None and (status := _ended_by_cluster(facts, facts.job, reason)) is not None:
        return status
    if isinstance(facts.last, Failed):
        return _failed(facts, facts.last, reason)
    if facts.process is None:
        return Paused(reason or "not in the queue")
    if facts.exit is not None and facts.exit.asked:
        return Paused(reason or "killed before it could leave a checkpoint")
    if isinstance(facts.last, Finished) or (facts.exit is not None and facts.exit.code == 0):
        return Broken("rundir", "it ended well, but result.json is missing", "s3tui retry repeats it", reason)
    return Dead(*manner_of_death(facts), reason)


def _ended_by_cluster(facts: Facts, job: Job, reason: str) -> Status | None:
    """The status of an end that only the cluster knows; None if the run's own files decide."""
    if _is_over(facts.exit) and job.end != "out-of-memory":
        return None
    asked = facts.exit.asked if facts.exit is not None else ""
    if job.end == "cancelled":
        return Cancelled(job.manner)
    if asked == "too slow":
        message = "no checkpoint was reached within the time of its job"
        return Broken("time-limit", message, "ask for more time in [launcher], or lower checkpoint_every", reason)
    if asked == "requeue" and job.end != "restart":
        return Dead("the time of its job was over", "restart", reason)
    if job.end:
        return Dead(job.manner, job.end, reason)
    queue = facts.queue
    if facts.process is None and queue is not None and queue.wanted == "held" and queue.settled != job.attempt:
        return Paused(reason or "stopped before its worker began")
    if facts.process is None or (facts.exit is None and not isinstance(facts.last, (Failed, Finished))):
        began = "reported no error" if facts.process is not None else "its worker did not start"
        code = f" with exit code {job.exit_code.removesuffix(':0')}" if job.exit_code else ""
        return Dead(f"its job ended as {job.state}{code} and {began}; see its log", "crash", reason)
    return None


def _failed(facts: Facts, failed: Failed, reason: str) -> Status:
    if failed.kind != "stopped":
        return Broken(failed.kind, failed.message, failed.hint, reason)
    held = facts.queue is None or facts.queue.wanted == "held"
    if not held and facts.process is not None and _restarted(facts, facts.process):
        return Dead("the machine was restarted", "restart")
    return Paused(reason or failed.message)


def _restarted(facts: Facts, process: Process) -> bool:
    return process.host == facts.host and process.worker.boot != facts.boot


def manner_of_death(facts: Facts) -> tuple[str, str]:
    """How a worker died that reported no error: a message, and a kind like those of errors."""
    process, end = facts.process, facts.exit
    assert process is not None
    if end is not None and end.out_of_memory:
        return "killed by the kernel: out of memory", "out-of-memory"
    if end is not None and end.signal is not None:
        return f"the worker was ended by {end.signal}", KILL if end.signal in KILLERS else "crash"
    if end is not None:
        return f"the worker ended with exit code {end.code} and reported no error", "crash"
    if process.host != facts.host:
        return f"it ran on {process.host}, and ended there or cannot be seen from here", "moved"
    if _restarted(facts, process):
        return "the machine was restarted", "restart"
    return "the worker and its supervisor are gone; how they ended is not known", KILL


def signature(status: Broken | Dead) -> str:
    """A failure as text without numbers, to recognise repeated failures of the same kind."""
    message = status.message if isinstance(status, Broken) else status.manner
    return re.sub(r"\d+(\.\d+)?", "#", f"{status.kind}: {message}")
