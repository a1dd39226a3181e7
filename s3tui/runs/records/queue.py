"""The queue record of a run (`queue.json`): its requested state, so that any process can take over from another."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from core.run.errors import RunDirError, SpecError
from core.run.fields import LATER, Count, Moment, Positive, WrongError, read
from core.run.rundir import RunDir, read_record_if_there, write_json
from s3tui.runs.records.launch import Launch, LaunchTable
from s3tui.system.file_locks import locked

Wanted = Literal["queued", "held", "cancelled"]


@dataclass(frozen=True, slots=True)
class Resources:
    """The resources that a run requests; `gpus` None depends on its device, `memory` is GPU memory in bytes."""

    threads: Positive = 1
    gpus: Count | None = None
    memory: Count | None = None
    per_gpu: Positive = 1
    use_busy_gpus: bool = False


@dataclass(frozen=True, slots=True)
class Queue:
    """The content of `queue.json`.

    `settled` is the attempt whose end was dealt with, by a retry or by giving up, so that none is handled twice;
    `failure` is the signature of its failure; `reason` says why the run does not continue by itself. `log_to` names the
    experiment trackers that receive its events; `launch` is where it is started. `fresh` is when `--fresh` made the
    run, 0 where it did not: it shares no search with runs from before. `killed` is how often it was started again
    after a kill from outside, which spends no retry.
    """

    wanted: Wanted = "queued"
    priority: int = 0
    submitted: Moment = 0.0
    order: int = 0
    retries: Count = 0
    retried: Count = 0
    not_before: Moment = 0.0
    failure: str = ""
    settled: str = ""
    reason: str = ""
    device: str = "auto"
    tags: tuple[str, ...] = ()
    log_to: tuple[str, ...] = field(default=(), metadata=LATER)
    resources: Resources = field(default_factory=Resources)
    launch: LaunchTable = field(default_factory=Launch, metadata=LATER)
    fresh: Moment = field(default=0.0, metadata=LATER)
    killed: Count = field(default=0, metadata=LATER)

    def to_json(self) -> dict[str, Any]:
        """The content of the file."""
        return {"v": 1} | asdict(self) | {"launch": self.launch.to_json()}


def read_queue(directory: RunDir) -> Queue | None:
    """The queue record of a run; None if it was never queued. Raises RunDirError if the file is damaged."""
    return read_record_if_there(directory.queue, Queue)


class QueueFiles:
    """Changes the queue records of a workspace under a lock, and keeps a journal of changed runs.

    With the journal, readers need not check a thousand files; changes that it misses, such as the last one before a
    kill, are found when they check all files.
    """

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self._lock = workspace / ".s3tui" / "queue.lock"
        self.journal = workspace / ".s3tui" / "journal"

    def put(self, directory: RunDir, queue: Queue) -> None:
        """Write the record of a run, whatever it was before."""
        self.change(directory, lambda _: queue)

    def change(self, directory: RunDir, how: Callable[[Queue], Queue]) -> Queue:
        """Replace a record by `how(record)`, under the lock."""
        with locked(self._lock):
            old = _or_new(directory)
            new = how(old)
            _check(new)
            if new != old or not directory.queue.exists():
                write_json(directory.queue, new.to_json())
                self._note(directory)
        return new

    def note(self, directory: RunDir) -> None:
        """Notify readers of another change to a run, such as its deletion."""
        with locked(self._lock):
            self._note(directory)

    def _note(self, directory: RunDir) -> None:
        line = os.fsencode(directory.path.relative_to(self._workspace).as_posix()) + b"\n"
        handle = os.open(self.journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            os.write(handle, line)
        finally:
            os.close(handle)


def _check(queue: Queue) -> None:
    """Raise SpecError for a record that could not be read back."""
    try:
        read(Queue, queue.to_json())
    except WrongError as error:
        raise SpecError(f"{error.where} cannot be queued", error.rule) from None


def _or_new(directory: RunDir) -> Queue:
    """The current record, or a new one if the file is damaged or missing."""
    try:
        return read_queue(directory) or Queue(wanted="held")
    except RunDirError:
        return Queue(wanted="held")


def queued(queue: Queue, attempt: str, now: float | None = None) -> Queue:
    """The record of a run that is queued again: with all retries, and its last attempt settled."""
    return replace(
        queue, wanted="queued", submitted=time.time() if now is None else now, retried=0, killed=0, not_before=0.0,
        failure="", settled=attempt, reason="",
    )  # fmt: skip
