"""The dispatcher of a workspace: answers the ends of attempts, and has waiting runs started in their order.

Whatever it knows follows from the files, so that it can be killed at any moment and the next one goes on.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field

from core.run.errors import S3Error, SpecError
from s3tui.devices.nvml import visible_gpus
from s3tui.devices.placement import Gpu
from s3tui.launchers.base import GRACE_SECONDS, WORKER, Context, Session
from s3tui.launchers.registry import launcher_named, name_of_launcher
from s3tui.runs.index import Board
from s3tui.runs.records.launch import LOCAL
from s3tui.runs.records.queue import Queue
from s3tui.runs.status import Broken, Cancelled, Dead, Paused, Queued, Quiet, Running
from s3tui.runs.workspace import FoundRun, Workspace
from s3tui.scheduling.notices import Notifier
from s3tui.scheduling.races import advance, has_actions
from s3tui.scheduling.retry_policy import BACKOFF_SECONDS, after, is_due
from s3tui.scheduling.shared_searches import SharedSearches
from s3tui.structures.run_reference import Wait, awaited_run, complete, hand_over, lacks_weights, wait_for
from s3tui.tracking.start import start_mirrors

PLACING_SECONDS = 1.0  # between two tries to start what waits while nothing has changed
ENDS = (Broken, Dead, Paused, Cancelled)  # how an attempt may have ended that is yet to be answered


@dataclass(frozen=True)
class Settings:
    """How runs are started and tried again; tests give a stand-in for the worker, and less patience."""

    command: Sequence[str] = WORKER
    grace: float = GRACE_SECONDS
    backoff: float = BACKOFF_SECONDS


@dataclass
class Dispatcher:
    """Dispatches the runs of a board; its process holds the lock of the workspace.

    `reasons` says why each waiting run waits, `searching` those reasons that are the search of another run;
    `impossible` names those that can never start, and `trouble` is what the machine or a launcher refuses now.
    """

    board: Board
    settings: Settings = field(default_factory=Settings)
    gpus: Callable[[], Sequence[Gpu]] = visible_gpus
    reasons: dict[str, str] = field(default_factory=dict)
    searching: dict[str, str] = field(default_factory=dict)
    impossible: Set[str] = frozenset()
    trouble: str = ""
    _sessions: dict[str, Session] = field(default_factory=dict)
    _mirrors: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _placed_at: float = float("-inf")

    def __post_init__(self) -> None:
        self._searches = SharedSearches(self.workspace)
        self._notifier = Notifier(self.board)
        self._context = Context(
            self.board, self.settings.command, self.settings.grace, self._mirror, self._answer_failed_start, self.gpus
        )

    @property
    def workspace(self) -> Workspace:
        """Whose runs these are."""
        return self.board.workspace

    def tick(self) -> set[str]:
        """One round; gives the names of the runs that may have changed.

        What the machine refuses, as a full disk does, is noted in `trouble` and tried again with the next round.
        """
        try:
            changed = self._round()
        except OSError as error:
            self.trouble = str(error)
            return set()
        return changed

    def _round(self) -> set[str]:
        changed = self.board.refresh()
        self._mirrors = [mirror for mirror in self._mirrors if mirror.poll() is None]
        sessions, trouble = self._open_sessions()
        for session in sessions:
            changed |= session.look()
        changed |= self._answer_ends()
        if changed or self._is_time_to_place():
            changed |= advance(self.board)
        for session in sessions:
            session.enforce()
        self._notify(changed)  # before anything starts, so that no run can end unseen
        if changed or self._is_time_to_place():
            before = self.impossible
            started = self._start_what_fits()
            self._notify(started | (self.impossible ^ before))
            changed |= started
        self.trouble = next(filter(None, (session.trouble for session in sessions)), trouble)
        return changed

    def _notify(self, changed: Set[str]) -> None:
        if changed or self._notifier.is_behind:
            self._notifier.note(self.impossible)

    def wait_for_notices(self, seconds: float) -> None:
        """Wait until what there is to notify has been sent, so that it can be said what could not be."""
        self._notifier.wait(seconds)

    def _is_time_to_place(self) -> bool:
        return time.monotonic() - self._placed_at >= PLACING_SECONDS

    def _open_sessions(self) -> tuple[list[Session], str]:
        """The launchers that the runs are with, and why one of them cannot be used."""
        sessions, trouble = [], ""
        for name in dict.fromkeys((LOCAL, *map(name_of_launcher, self.board.runs.values()))):
            try:
                sessions.append(self._session(name))
            except SpecError as error:
                trouble = str(error)
        return sessions, trouble

    def _session(self, name: str) -> Session:
        """What we have of a launcher; raises SpecError where there is none of this name."""
        if name not in self._sessions:
            self._sessions[name] = launcher_named(name).session(self._context)
        return self._sessions[name]

    @property
    def has_work(self) -> bool:
        """Whether anything runs, or waits for what may come."""
        return any(
            self.is_open(run)
            or isinstance(run.status, (Running, Quiet))
            or (isinstance(run.status, Queued) and name not in self.impossible)
            or _is_unanswered(run)
            for name, run in self.board.runs.items()
        ) or has_actions(self.board)

    def is_open(self, run: FoundRun) -> bool:
        """Whether a launcher has yet to report how a run ended, or to be asked what is wanted of it."""
        try:
            return self._session(name_of_launcher(run)).is_open(run)
        except SpecError:
            return False

    def _mirror(self, run: FoundRun) -> None:
        """Mirror an attempt that begins, from here, where its trackers can be reached."""
        if run.queue is not None:
            self._mirrors += start_mirrors(self.workspace, run.name, run.queue.log_to)

    def _answer_failed_start(self, run: FoundRun, reason: str) -> None:
        self._answer(run, Dead(reason, "crash"))

    def _answer_ends(self) -> set[str]:
        """Retry, or leave, what was to run and has ended."""
        ended = [run for run in self.board.unfinished.values() if _is_unanswered(run)]
        for run in ended:
            assert isinstance(run.status, ENDS)
            self._answer(run, run.status)
        return {run.name for run in ended}

    def _answer(self, run: FoundRun, end: Broken | Dead | Paused | Cancelled) -> None:
        attempt, now = run.attempt, time.time()

        def answer(queue: Queue) -> Queue:
            # It may have been stopped or cancelled meanwhile.
            return after(queue, end, attempt, now, self.settings.backoff) if queue.wanted == "queued" else queue

        self.workspace.queue.change(run.directory, answer)
        self.board.read(run.name)

    def _start_what_fits(self) -> set[str]:
        """Start waiting runs in their order, and say of each other one why it waits."""
        self._placed_at = time.monotonic()
        waiting = sorted((run for run in self.board.unfinished.values() if _is_to_be_started(run)), key=_turn)
        impossible: set[str] = set()
        reasons = {run.name: reason for run in waiting if (reason := self._not_yet(run, impossible))}
        ready = [run for run in waiting if run.name not in reasons]
        self.searching = self._searches.settle(ready, self.board.runs, self.impossible)
        reasons |= self.searching
        by_launcher: dict[str, list[FoundRun]] = {}
        for run in ready:
            if run.name not in reasons:
                by_launcher.setdefault(run.queue.launch.kind if run.queue else LOCAL, []).append(run)
        started = set()
        for name, runs in by_launcher.items():
            try:
                outcome = self._session(name).start(runs)
            except SpecError as error:
                reasons |= dict.fromkeys((run.name for run in runs), str(error))
                impossible |= {run.name for run in runs}
                continue
            started |= outcome.started
            reasons |= outcome.reasons
            impossible |= outcome.impossible
        self.impossible = impossible
        if reasons != self.reasons:
            self.reasons = reasons
            self.workspace.write_reasons(reasons)
        return started

    def _not_yet(self, run: FoundRun, impossible: set[str]) -> str:
        """Why a run has to wait whatever room there is; empty where it has not."""
        if self.workspace.pause.exists():
            return "the queue is paused"
        if run.queue is not None and not is_due(run.queue, time.time()):
            clock = time.strftime("%H:%M:%S", time.localtime(run.queue.not_before))
            return f"{run.queue.reason}; not before {clock}"
        source = awaited_run(run.spec)
        reason = self._completed(run, source, impossible) if source is not None else ""
        return reason or self._with_weights(run, impossible)

    def _completed(self, run: FoundRun, source: str, impossible: set[str]) -> str:
        """Give a run the structure of another; why that cannot be done, empty where it has been."""
        wait = wait_for(source, self.board.runs.get(source), self.impossible)
        try:
            if wait is None:
                complete(run.directory, self.workspace)
                self.board.read(run.name)
                return ""
        except S3Error as error:
            wait = Wait(str(error), ever=False)
        if not wait.ever:
            impossible.add(run.name)
        return wait.reason

    def _with_weights(self, run: FoundRun, impossible: set[str]) -> str:
        """Give a run the weights with which its given structure starts; why that cannot be done."""
        if not lacks_weights(run.spec, run.directory):
            return ""
        try:
            hand_over(run.spec, run.directory, self.workspace)
        except S3Error as error:
            impossible.add(run.name)
            return str(error)
        return ""


def may_start(board: Board) -> bool:
    """Whether whoever dispatches next may start a run: one is queued, or broke off unanswered, or a race goes on."""
    return any(
        isinstance(run.status, Queued) or (isinstance(run.status, (Broken, Dead)) and _is_unanswered(run))
        for run in board.unfinished.values()
    ) or has_actions(board)


def _is_unanswered(run: FoundRun) -> bool:
    """Whether a run was to run and has ended, and the dispatcher has not said yet what becomes of it."""
    return isinstance(run.status, ENDS) and run.queue is not None and run.queue.wanted == "queued"


def _is_to_be_started(run: FoundRun) -> bool:
    """Whether a run waits, and not in the queue of a cluster."""
    return isinstance(run.status, Queued) and not (run.job is not None and run.job.lives)


def _turn(run: FoundRun) -> tuple[int, float, int, str]:
    """The order in which runs start: the more important, then the older ones."""
    queue = run.queue or Queue()
    return (-queue.priority, queue.submitted, queue.order, run.name)
