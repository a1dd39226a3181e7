"""The dispatcher of a workspace: takes in what happened, answers it, and starts what has room.

Whatever it knows follows from the files, so that it can be killed at any moment and the next one goes on.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass, field

from core.run.errors import S3Error
from s3tui.devices.leases import Leases, release
from s3tui.devices.placement import Gpu, Machine, NoRoom, place
from s3tui.launchers.local import Local
from s3tui.launchers.slurm.job_tracker import Tracker
from s3tui.runs.index import Board
from s3tui.runs.records.queue import Queue
from s3tui.runs.status import Broken, Cancelled, Dead, Paused, Queued, Quiet, Running, attempt_of
from s3tui.runs.workspace import FoundRun, Workspace
from s3tui.scheduling.control import kill_all, tell_to_end
from s3tui.scheduling.retry_policy import BACKOFF_SECONDS, after, is_due
from s3tui.structures.run_reference import Wait, awaited_run, complete, wait_for
from s3tui.system.cpu import usable_cores
from s3tui.system.file_locks import try_lock
from s3tui.system.process_identity import this_host
from s3tui.tracking.start import start_mirrors

PLACING_SECONDS = 1.0  # between two looks at the devices while nothing has changed
ENDS = (Broken, Dead, Paused, Cancelled)  # how an attempt may have ended that is yet to be answered
STARTING_SECONDS = 10.0  # a lock without a process for so long is that of something left behind


@contextlib.contextmanager
def dispatching(workspace: Workspace) -> Iterator[bool]:
    """Be the one dispatcher of a workspace for as long as this is entered; False where another is."""
    handle = try_lock(workspace.lock)
    if handle is None:
        yield False
        return
    try:
        claim(handle)
        yield True
    finally:
        os.close(handle)


def claim(handle: int) -> None:
    """Write down who holds the lock; where the disk is full nobody is told, but the lock is held all the same."""
    with contextlib.suppress(OSError):
        os.ftruncate(handle, 0)
        os.write(handle, json.dumps({"pid": os.getpid(), "host": this_host(), "since": time.time()}).encode())


@dataclass
class Dispatcher:
    """Dispatches the runs of a board; whoever makes one holds the lock of the workspace."""

    board: Board
    launcher: Local
    gpus: Callable[[], list[Gpu]]
    backoff: float = BACKOFF_SECONDS
    reasons: dict[str, str] = field(default_factory=dict)
    trouble: str = ""
    _children: dict[str, tuple[subprocess.Popen[bytes], str]] = field(default_factory=dict)
    _mirrors: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _mirrored: set[str] = field(default_factory=set)
    _told: set[str] = field(default_factory=set)
    _nameless: dict[str, float] = field(default_factory=dict)
    _impossible: set[str] = field(default_factory=set)
    _placed_at: float = float("-inf")

    def __post_init__(self) -> None:
        self._slurm = Tracker(self.board, self.launcher.command, self.launcher.grace)

    @property
    def workspace(self) -> Workspace:
        """Whose runs these are."""
        return self.board.workspace

    def tick(self) -> set[str]:
        """One round; gives the names of the runs that may have changed.

        What the machine refuses, as a full disk does, is told in `trouble` and tried again with the next round.
        """
        try:
            changed = self._round()
        except OSError as error:
            self.trouble = str(error)
            return set()
        self.trouble = self._slurm.trouble
        return changed

    def _round(self) -> set[str]:
        changed = self.board.refresh()
        changed |= self._take_in_slurm()
        changed |= self._reap()
        changed |= self._answer_ends()
        self._pass_on_wishes()
        self._slurm.pass_on()
        self._end_what_was_left_behind()
        if changed or time.monotonic() - self._placed_at >= PLACING_SECONDS:
            changed |= self._start_what_fits()
        return changed

    @property
    def has_work(self) -> bool:
        """Whether anything runs, or waits for what may come."""
        return self._slurm.has_work or any(
            isinstance(run.status, (Running, Quiet))
            or (isinstance(run.status, Queued) and name not in self._impossible)
            for name, run in self.board.runs.items()
        )

    def is_open(self, run: FoundRun) -> bool:
        """Whether Slurm has yet to say how the job of a run ended, or to be told what is wanted of it."""
        return self._slurm.is_open(run)

    @property
    def impossible(self) -> Set[str]:
        """The waiting runs that this machine can never run."""
        return self._impossible

    def _take_in_slurm(self) -> set[str]:
        """Take in what Slurm says; what has begun there is mirrored from here, where its trackers can be reached."""
        changed = self._slurm.take_in()
        for run in [self.board.runs[name] for name in changed if name in self.board.runs]:
            begun = run.job is not None and run.job.lives and not run.job.waits
            if begun and run.queue is not None and run.attempt not in self._mirrored:
                self._mirrored.add(run.attempt)
                self._mirrors += start_mirrors(self.workspace, run.name, run.queue.log_to)
            elif not begun:
                self._mirrored.discard(run.attempt)
        return changed

    def _reap(self) -> set[str]:
        """Take leave of supervisors that have ended; one that ended before it began is the end of an attempt."""
        self._mirrors = [mirror for mirror in self._mirrors if mirror.poll() is None]
        ended = {name for name, (popen, _) in self._children.items() if popen.poll() is not None}
        for name in ended:
            _, before = self._children.pop(name)
            run = self.board.read(name)
            if run is not None and isinstance(run.status, Queued) and run.attempt == before:
                self._answer(run, Dead("it could not be started; its log tells", "crash"))
        return ended

    def _answer_ends(self) -> set[str]:
        """Retry, or leave, what was to run and has ended."""
        ended = [
            run
            for run in self.board.runs.values()
            if isinstance(run.status, ENDS) and run.queue is not None and run.queue.wanted == "queued"
        ]
        for run in ended:
            assert isinstance(run.status, ENDS)
            self._answer(run, run.status)
        return {run.name for run in ended}

    def _answer(self, run: FoundRun, end: Broken | Dead | Paused | Cancelled) -> None:
        attempt, now = run.attempt, time.time()

        def answer(queue: Queue) -> Queue:
            # Somebody may have taken it out of the queue meanwhile.
            return after(queue, end, attempt, now, self.backoff) if queue.wanted == "queued" else queue

        self.workspace.queue.change(run.directory, answer)
        self.board.read(run.name)

    def _pass_on_wishes(self) -> None:
        """Tell workers to end whose run is not wanted any more, in case that whoever wished so could not."""
        for run in self.board.runs.values():
            if run.job is not None or not isinstance(run.status, (Running, Quiet)):
                continue
            if run.status.stopping and run.status.process is not None:
                attempt = attempt_of(run.status.process)
                if attempt not in self._told and run.queue is not None:
                    self._told.add(attempt)
                    tell_to_end(run.status.process, at_once=run.queue.wanted == "cancelled")

    def _end_what_was_left_behind(self) -> None:
        """Kill what holds the lock of a run whose worker and supervisor are both gone."""
        nameless = {
            name
            for name, run in self.board.runs.items()
            if isinstance(run.status, Running)
            and run.status.process is None
            and name not in self._children
            and run.job is None
        }
        now = time.monotonic()
        self._nameless = {name: self._nameless.get(name, now) for name in nameless}
        for name, since in self._nameless.items():
            if now - since > STARTING_SECONDS:
                kill_all(self.workspace.run(name))

    def _start_what_fits(self) -> set[str]:
        """Start waiting runs in their order, and say of each other one why it waits."""
        self._placed_at = time.monotonic()
        waiting = [run for run in self.board.runs.values() if _waits_for_us(run)]
        reasons: dict[str, str] = {}
        before, self._impossible = self._impossible, set()
        ready = []
        for run in sorted(waiting, key=_turn):
            reason = self._not_yet(run, before)
            if reason:
                reasons[run.name] = reason
            else:
                ready.append(run)
        started = self._start_here([run for run in ready if not _for_slurm(run)], reasons)
        started |= self._start_there([run for run in ready if _for_slurm(run)], reasons)
        if reasons != self.reasons:
            self.reasons = reasons
            self.workspace.write_reasons(reasons)
        return started

    def _start_here(self, runs: Sequence[FoundRun], reasons: dict[str, str]) -> set[str]:
        """Start what this machine has room for."""
        started = set()
        machine: Machine | None = None
        for run in runs:
            machine = machine or self._machine()
            reason = self._start(run, machine)
            if reason:
                reasons[run.name] = reason
            else:
                started.add(run.name)
                machine = self._machine(machine.gpus)
        return started

    def _start_there(self, runs: Sequence[FoundRun], reasons: dict[str, str]) -> set[str]:
        """Give runs to Slurm, which has room for them when it has."""
        if not runs:
            return set()
        submitted, refused = self._slurm.submit(runs)
        reasons |= refused
        return submitted

    def _not_yet(self, run: FoundRun, impossible: Set[str]) -> str:
        if self.workspace.pause.exists():
            return "the queue is paused"
        if run.queue is not None and not is_due(run.queue, time.time()):
            clock = time.strftime("%H:%M:%S", time.localtime(run.queue.not_before))
            return f"{run.queue.reason}; not before {clock}"
        source = awaited_run(run.spec)
        return self._completed(run, source, impossible) if source is not None else ""

    def _completed(self, run: FoundRun, source: str, impossible: Set[str]) -> str:
        """Give a run the structure of another; why that cannot be done, empty where it has been."""
        wait = wait_for(source, self.board.runs.get(source), impossible)
        try:
            if wait is None:
                complete(run.directory, self.workspace)
                self.board.read(run.name)
                return ""
        except S3Error as error:
            wait = Wait(str(error), ever=False)
        if not wait.ever:
            self._impossible.add(run.name)
        return wait.reason

    def _start(self, run: FoundRun, machine: Machine) -> str:
        """Start a run where there is room; why it has to wait, empty where it has been started."""
        assert run.queue is not None
        device, asked = run.queue.device, run.queue.resources
        room = place(device, asked, machine)
        if isinstance(room, NoRoom):
            if not room.ever:
                self._impossible.add(run.name)
            return room.reason
        leases = Leases(self.workspace.leases).take(run.name, room, asked, machine.cores)
        if leases is None:
            return "waiting for a device that was taken meanwhile"
        run.directory.slurm.unlink(missing_ok=True)  # a job that ended says nothing of what happens here
        # What the board knows may be old: another dispatcher may have started it a moment ago.
        now = self.board.read(run.name)
        if now is None or not isinstance(now.status, Queued):
            release(leases)
            return ""
        try:
            before = now.attempt
            child = self.launcher.start(run.directory, room, device, leases)
        finally:
            release(leases)
        if child is None:
            return "waiting for another process that works on it"
        self._children[run.name] = (child, before)
        self._mirrors += start_mirrors(self.workspace, run.name, run.queue.log_to)
        self.workspace.queue.note(run.directory)  # those who only watch see it begin
        self.board.read(run.name)
        return ""

    def _machine(self, gpus: tuple[Gpu, ...] | None = None) -> Machine:
        leases = Leases(self.workspace.leases)
        gpus = tuple(self.gpus()) if gpus is None else gpus
        ours = {pid for gpu in gpus for pid in gpu.processes if _session(pid) in self._workers()}
        return Machine(gpus, usable_cores(), leases.gpus(), leases.cores(), frozenset(ours))

    def _workers(self) -> set[int]:
        living = (run.status for run in self.board.runs.values() if run.job is None)
        return {s.process.worker.pid for s in living if isinstance(s, (Running, Quiet)) and s.process is not None}


def _waits_for_us(run: FoundRun) -> bool:
    """Whether a run waits to be started, and not in Slurm's own queue."""
    return isinstance(run.status, Queued) and not (run.job is not None and run.job.lives)


def _for_slurm(run: FoundRun) -> bool:
    return run.queue is not None and run.queue.launch.is_slurm


def _turn(run: FoundRun) -> tuple[int, float, int, str]:
    """The order in which runs start: the more important, then the older ones."""
    queue = run.queue or Queue()
    return (-queue.priority, queue.submitted, queue.order, run.name)


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0
