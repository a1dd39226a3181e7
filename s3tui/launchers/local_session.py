"""Starts runs on the free devices and cores of this machine, and ends what is not wanted any more."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from s3tui.devices.leases import Leases, release
from s3tui.devices.placement import Gpu, Machine, NoRoom, place
from s3tui.launchers.base import Context, Started
from s3tui.launchers.processes import kill_all, request_end
from s3tui.launchers.start_supervisor import start_supervisor
from s3tui.runs.records.job import forget_job
from s3tui.runs.status import Queued, Quiet, Running, attempt_of
from s3tui.runs.workspace import FoundRun
from s3tui.system.cpu import usable_cores

STARTING_SECONDS = 10.0  # a lock without a process for so long is that of something left behind
NEVER_BEGAN = "it could not be started; see its log"


@dataclass
class LocalSession:
    """What a dispatcher has of this machine.

    `_children` are the supervisors that it has started, with the attempt at their run before.
    """

    context: Context
    trouble: str = ""
    _children: dict[str, tuple[subprocess.Popen[bytes], str]] = field(default_factory=dict)
    _asked: set[str] = field(default_factory=set)
    _nameless: dict[str, float] = field(default_factory=dict)

    def look(self) -> set[str]:
        """Reap exited supervisors, and kill what their runs have left behind; how each ended is in its files."""
        self._end_what_was_left_behind()
        ended = {name for name, (child, _) in self._children.items() if child.poll() is not None}
        for name in ended:
            _, before = self._children.pop(name)
            run = self.context.board.read(name)
            if run is not None and isinstance(run.status, Queued) and run.attempt == before:
                self.context.failed(run, NEVER_BEGAN)
        return ended

    def is_open(self, run: FoundRun) -> bool:
        """Whether it is at work here."""
        return run.job is None and isinstance(run.status, (Running, Quiet))

    def enforce(self) -> None:
        """Ask workers to end whose run was stopped or cancelled, in case the command that did so could not."""
        for run in self.context.board.unfinished.values():
            if run.job is not None or not isinstance(run.status, (Running, Quiet)):
                continue
            if run.status.stopping and run.status.process is not None:
                attempt = attempt_of(run.status.process)
                if attempt not in self._asked and run.queue is not None:
                    self._asked.add(attempt)
                    request_end(run.status.process, at_once=run.queue.wanted == "cancelled")

    def start(self, runs: Sequence[FoundRun]) -> Started:
        """Start what this machine has room for."""
        outcome = Started()
        machine: Machine | None = None
        for run in runs:
            machine = machine or self._machine()
            reason = self._start(run, machine, outcome)
            if reason:
                outcome.reasons[run.name] = reason
            else:
                outcome.started.add(run.name)
                machine = self._machine(machine.gpus)
        return outcome

    def _start(self, run: FoundRun, machine: Machine, outcome: Started) -> str:
        """Start a run where there is room; why it has to wait, empty where it has been started."""
        assert run.queue is not None
        board, device, asked = self.context.board, run.queue.device, run.queue.resources
        room = place(device, asked, machine)
        if isinstance(room, NoRoom):
            if not room.ever:
                outcome.impossible.add(run.name)
            return room.reason
        leases = Leases(board.workspace.leases).take(run.name, room, asked, machine.cores)
        if leases is None:
            return "waiting for a device that was taken meanwhile"
        forget_job(run.directory)  # a job that ended says nothing of what happens here
        try:
            # What the board knows may be old: another dispatcher may have started it a moment ago.
            now = board.read(run.name)
            if now is None or not isinstance(now.status, Queued):
                return ""
            before = now.attempt
            child = start_supervisor(run.directory, room, device, leases, self.context.worker, self.context.grace)
        finally:
            release(leases)
        if child is None:
            return "waiting for another process that works on it"
        self._children[run.name] = (child, before)
        self.context.begun(run)
        board.workspace.queue.note(run.directory)  # those who only watch see it begin
        board.read(run.name)
        return ""

    def _end_what_was_left_behind(self) -> None:
        """Kill what holds the lock of a run whose worker and supervisor are both gone."""
        nameless = {
            name
            for name, run in self.context.board.unfinished.items()
            if isinstance(run.status, Running)
            and run.status.process is None
            and name not in self._children
            and run.job is None
        }
        now = time.monotonic()
        self._nameless = {name: self._nameless.get(name, now) for name in nameless}
        for name, since in self._nameless.items():
            if now - since > STARTING_SECONDS:
                kill_all(self.context.board.workspace.run(name))

    def _machine(self, gpus: Sequence[Gpu] | None = None) -> Machine:
        leases = Leases(self.context.board.workspace.leases)
        gpus = tuple(self.context.gpus() if gpus is None else gpus)
        workers = self._workers()
        ours = {pid for gpu in gpus for pid in gpu.processes if _session(pid) in workers}
        return Machine(gpus, usable_cores(), leases.gpus(), leases.cores(), frozenset(ours))

    def _workers(self) -> set[int]:
        living = (run.status for run in self.context.board.unfinished.values() if run.job is None)
        return {s.process.worker.pid for s in living if isinstance(s, (Running, Quiet)) and s.process is not None}


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0
