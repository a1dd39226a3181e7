"""The dispatcher's part of jobs on a cluster: records what is reported, asks what is wanted, and submits."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from core.run.rundir import RunDir
from s3tui.launchers.base import Context, Started
from s3tui.launchers.job_batches import Batch, Key, grouped, submit_batch
from s3tui.launchers.job_reports import Answer, Report, Request, request_for
from s3tui.launchers.job_sync import ASK_SECONDS, living, record, record_lost
from s3tui.runs.index import Board
from s3tui.runs.records.job import Job
from s3tui.runs.status import Paused
from s3tui.runs.workspace import FoundRun
from s3tui.system.file_locks import is_locked

AGAIN_SECONDS = 30.0  # until what a cluster refused is tried again
ANSWER_SECONDS = 30.0  # for a cluster to answer


class Cluster(Protocol):
    """What a session needs of its launcher: see `JobLauncher`."""

    @property
    def name(self) -> str:
        """Its name in records."""

    @property
    def title(self) -> str:
        """Its name for people."""

    @property
    def most_tasks(self) -> int:
        """Of one batch."""

    def submit(self, batch: Batch) -> Sequence[str]:
        """Submit a batch; the ids of its tasks."""

    def ask(self, seconds: float) -> Answer:
        """Ask for all jobs."""

    def look_up(self, ids: Sequence[str]) -> Mapping[str, Report]:
        """Ask for what became of jobs that are in no answer any more."""

    def request(self, directory: RunDir, job: Job, request: Request) -> str:
        """Ask something of a job; what is said against it."""


class Asker:
    """One question at a time, in a thread: the dispatcher waits for no cluster that is down."""

    def __init__(self, ask: Callable[[float], Answer], every: float = ASK_SECONDS) -> None:
        self._ask, self._every = ask, every
        self._asked_at = float("-inf")
        self._thread: threading.Thread | None = None
        self._answer: Answer | None = None

    def poll(self) -> Answer | None:
        """The answer to the last question; asks the next one when it is time. None while there is nothing new."""
        if self._thread is None:
            if time.monotonic() - self._asked_at >= self._every:
                self._asked_at = time.monotonic()
                self._thread = threading.Thread(target=self._work, name="asks a cluster", daemon=True)
                self._thread.start()
            return None
        if self._thread.is_alive():
            return None
        self._thread = None
        return self._answer

    def _work(self) -> None:
        try:
            self._answer = self._ask(ANSWER_SECONDS)
        except OSError as error:
            self._answer = Answer(trouble=str(error))

    def hurry(self) -> None:
        """Ask at once the next time: something was just done that changes the answer."""
        self._asked_at = float("-inf")


@dataclass
class JobSession:
    """Keeps the jobs of a board up to date. `trouble` is why the cluster does not answer, empty while it does."""

    cluster: Cluster
    context: Context
    trouble: str = ""
    _missing: set[str] = field(default_factory=set)
    _begun: set[str] = field(default_factory=set)
    _asked: dict[str, tuple[Request, float]] = field(default_factory=dict)
    _refused: dict[Key, tuple[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._asker = Asker(self.cluster.ask)

    @property
    def _board(self) -> Board:
        return self.context.board

    def _living(self) -> list[FoundRun]:
        return living(self._board.runs.values(), self.cluster.name)

    def is_open(self, run: FoundRun) -> bool:
        """Whether the end of its job is not written down yet, or something is yet to be asked of it.

        A run that is held waits for a person, and a cluster that does not answer is not waited for.
        """
        if run.job is None or not run.job.lives or run.job.launcher != self.cluster.name:
            return False
        if request_for(run.queue, run.job, self._board.workspace.pause.exists()):
            return True
        return not self.trouble and not isinstance(run.status, Paused)

    def look(self) -> set[str]:
        """Write down what the cluster reports that is new; the runs that it is about."""
        if not self._living():
            self.trouble = ""
            return set()
        answer = self._asker.poll()
        if answer is None:
            return set()
        self.trouble = f"{self.cluster.title} does not answer: {answer.trouble}" if answer.trouble else ""
        changed = set() if answer.trouble else self._record(answer)
        self._note_begun(changed)
        return changed

    def _record(self, answer: Answer) -> set[str]:
        changed, missing = record(answer, self._living())
        # The question may have been asked just before a job was submitted, so once is not enough.
        lost = [run for run in missing if run.attempt in self._missing]
        self._missing = {run.attempt for run in missing}
        if lost:
            ids = [run.job.id for run in lost if run.job is not None and run.job.id]
            record_lost(lost, self.cluster.look_up(ids) if ids else {})
        changed |= {run.name for run in lost}
        for name in changed:
            self._has_changed(self._board.runs[name])
        return changed

    def _note_begun(self, changed: set[str]) -> None:
        """Report attempts that have begun; one that is requeued begins again."""
        for run in [self._board.runs[name] for name in changed if name in self._board.runs]:
            begun = run.job is not None and run.job.phase == "working"
            if begun and run.attempt not in self._begun:
                self._begun.add(run.attempt)
                self.context.begun(run)
            elif not begun:
                self._begun.discard(run.attempt)

    def _has_changed(self, run: FoundRun) -> None:
        self._board.workspace.queue.note(run.directory)
        self._board.read(run.name)

    def enforce(self) -> None:
        """Ask of each job what its queue entry wants, in case the command that changed it could not."""
        if self.trouble:
            return
        paused, now = self._board.workspace.pause.exists(), time.monotonic()
        for run in self._living():
            request = request_for(run.queue, run.job, paused)
            before, at = self._asked.get(run.attempt, (None, float("-inf")))
            if request and run.job is not None and (request != before or now - at > AGAIN_SECONDS):
                self._asked[run.attempt] = (request, now)
                self.cluster.request(run.directory, run.job, request)
                self._asker.hurry()
                self._has_changed(run)

    def start(self, runs: Sequence[FoundRun]) -> Started:
        """Submit runs, those that ask for the same as one batch."""
        # While a suite is being queued it is not whole yet.
        if is_locked(self._board.workspace.submitting):
            return Started(reasons=dict.fromkeys((run.name for run in runs), "waiting for the rest of its suite"))
        if self.trouble:
            return Started(reasons=dict.fromkeys((run.name for run in runs), self.trouble))
        outcome = Started()
        for key, group in grouped(runs, self.cluster.most_tasks):
            refusal = self._submit(key, group)
            for run in group:
                if refusal:
                    outcome.reasons[run.name] = refusal
                else:
                    outcome.started.add(run.name)
                    self._has_changed(run)
        return outcome

    def _submit(self, key: Key, runs: Sequence[FoundRun]) -> str:
        reason, at = self._refused.get(key, ("", float("-inf")))
        if time.monotonic() - at < AGAIN_SECONDS:
            return reason
        options, priority = key

        def submit(folder: Path) -> Sequence[str]:
            context = self.context
            batch = Batch(folder, len(runs), json.loads(options), priority, context.worker, context.grace)
            return self.cluster.submit(batch)

        parent = self._board.workspace.of_launcher(self.cluster.name)
        refusal = submit_batch(self.cluster.name, parent, [run.directory for run in runs], submit)
        if refusal:
            self._refused[key] = (f"{self.cluster.title} refuses it: {refusal}", time.monotonic())
            return self._refused[key][0]
        self._refused.pop(key, None)
        self._asker.hurry()
        return ""
