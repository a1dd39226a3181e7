"""The dispatcher's part of what runs on a cluster: it takes in what Slurm says, passes on wishes, and submits."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from s3tui.launchers.slurm.client import Answer, Asking
from s3tui.launchers.slurm.job_control import arrays, tell, wish_for
from s3tui.launchers.slurm.submit import submit_array
from s3tui.launchers.slurm.sync import living, record, record_lost
from s3tui.runs.index import Board
from s3tui.runs.records.launch import Launch
from s3tui.runs.status import Paused
from s3tui.runs.workspace import FoundRun
from s3tui.system.file_locks import is_locked

AGAIN_SECONDS = 30.0  # until what Slurm refused is tried again


@dataclass
class Tracker:
    """Keeps the jobs of a board up to date. `trouble` is why Slurm does not answer, empty while it does."""

    board: Board
    worker: Sequence[str]
    grace: float
    trouble: str = ""
    _asking: Asking = field(default_factory=Asking)
    _missing: set[str] = field(default_factory=set)
    _told: dict[str, tuple[str, float]] = field(default_factory=dict)
    _refused: dict[tuple[Launch, int], tuple[str, float]] = field(default_factory=dict)

    @property
    def has_work(self) -> bool:
        """Whether Slurm is yet to be told something, or has a job whose end is not written down."""
        return any(map(self.is_open, self.board.runs.values()))

    def is_open(self, run: FoundRun) -> bool:
        """The same for one run. A run that is held waits for a person, and nobody waits for a Slurm that is silent."""
        if run.job is None or not run.job.lives:
            return False
        if wish_for(run.queue, run.job, self.board.workspace.pause.exists()):
            return True
        return not self.trouble and not isinstance(run.status, Paused)

    def take_in(self) -> set[str]:
        """Write down what Slurm says that is new; the runs that it is about."""
        if not living(self.board.runs.values()):
            self.trouble = ""
            return set()
        answer = self._asking.poll()
        if answer is None:
            return set()
        self.trouble = f"Slurm does not answer: {answer.trouble}" if answer.trouble else ""
        return set() if answer.trouble else self._record(answer)

    def _record(self, answer: Answer) -> set[str]:
        changed, missing = record(answer, self.board.runs.values())
        # The question may have been asked just before a job was submitted, so once is not enough.
        lost = [run for run in missing if run.attempt in self._missing]
        self._missing = {run.attempt for run in missing}
        record_lost(lost)
        changed |= {run.name for run in lost}
        for name in changed:
            self._has_changed(self.board.runs[name])
        return changed

    def _has_changed(self, run: FoundRun) -> None:
        self.board.workspace.queue.note(run.directory)
        self.board.read(run.name)

    def pass_on(self) -> None:
        """Tell Slurm what is wanted of its jobs, in case that whoever wished so could not."""
        if self.trouble:
            return
        paused, now = self.board.workspace.pause.exists(), time.monotonic()
        for run in living(self.board.runs.values()):
            wish = wish_for(run.queue, run.job, paused)
            before, at = self._told.get(run.attempt, ("", float("-inf")))
            if wish and run.job is not None and (wish != before or now - at > AGAIN_SECONDS):
                self._told[run.attempt] = (wish, now)
                tell(run.directory, run.job, wish)
                self._asking.hurry()
                self._has_changed(run)

    def submit(self, runs: Iterable[FoundRun]) -> tuple[set[str], dict[str, str]]:
        """Submit runs, those that ask for the same as one array; which were, and why the others wait."""
        waiting = list(runs)
        # While a suite is being queued it is not whole yet.
        if is_locked(self.board.workspace.submitting):
            return set(), {run.name: "waiting for the rest of its suite" for run in waiting}
        if self.trouble:
            return set(), {run.name: self.trouble for run in waiting}
        submitted, reasons = set(), {}
        for key, group in arrays(waiting):
            refusal = self._submit(key, group)
            for run in group:
                if refusal:
                    reasons[run.name] = refusal
                else:
                    submitted.add(run.name)
                    self._has_changed(run)
        return submitted, reasons

    def _submit(self, key: tuple[Launch, int], runs: Sequence[FoundRun]) -> str:
        told, at = self._refused.get(key, ("", float("-inf")))
        if time.monotonic() - at < AGAIN_SECONDS:
            return told
        launch, nicer = key
        refusal = submit_array(
            self.board.workspace, [run.directory for run in runs], launch, nicer, self.worker, self.grace
        )
        if refusal:
            self._refused[key] = (f"Slurm refuses it: {refusal}", time.monotonic())
            return self._refused[key][0]
        self._refused.pop(key, None)
        self._asking.hurry()
        return ""
