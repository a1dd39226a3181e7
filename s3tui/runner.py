"""Runs the runs of a suite, as many at a time as there are slots, and says how each ended."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from core.run.errors import EXIT_INTERRUPTED, S3Error
from core.run.events import EventReader
from core.run.rundir import RunDir
from s3tui.config import PlannedRun, Suite
from s3tui.devices import Slot, Slots, slots
from s3tui.interrupts import Interrupts
from s3tui.launcher import WORKER, Process, start, terminate
from s3tui.outcome import Failure, failure_of
from s3tui.plan import Plan, prepare
from s3tui.progress import Progress, Tally, watch
from s3tui.runstate import RunState, fold
from s3tui.units import count, duration, points

POLL_SECONDS = 0.25


class StoppedError(S3Error):
    """A suite was stopped from the keyboard or by a signal."""

    kind = "interrupted"
    exit_code = EXIT_INTERRUPTED


@dataclass
class Active:
    """A run under way."""

    run: PlannedRun
    directory: RunDir
    slot: Slot
    process: Process
    events: EventReader
    state: RunState
    since: float


@dataclass
class Runner:
    """The state of a suite that runs: what waits, what is under way, what came of the rest."""

    suite: Suite
    fresh: bool
    command: Sequence[str]
    slots: Slots
    progress: Progress
    waiting: list[PlannedRun]
    total: int
    done: int
    active: list[Active] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    since: float = field(default_factory=time.monotonic)

    def tick(self) -> bool:
        """Start what has room, take in what happened, let go of what ended; whether anything is left to do."""
        self._start_waiting()
        for active in list(self.active):
            # Asked before the events are read: whatever a worker that has ended wrote is in the file by then.
            exit_code = active.process.exit_code()
            self._read(active)
            if exit_code is not None:
                self._finish(active, exit_code)
        tally = Tally(self.total, self.done, len(self.failures), len(self.active), time.monotonic() - self.since)
        self.progress.refresh({a.run.name: a.state for a in self.active}, tally)
        return bool(self.active or self.waiting)

    def _start_waiting(self) -> None:
        for run in list(self.waiting):
            slot = self.slots.take(run.spec.device)
            if slot is not None:
                self.waiting.remove(run)
                self._start(run, slot)

    def _start(self, run: PlannedRun, slot: Slot) -> None:
        try:
            directory = prepare(self.suite, run, self.fresh)
            # What earlier attempts left is known before the new one adds to it.
            events = EventReader(directory.events)
            state = RunState()
            for event in events.poll():
                state = fold(state, event)
            process = start(directory, slot, run.spec.device, self.command)
        except (S3Error, OSError) as error:
            self.slots.release(slot)
            self._fail(_not_started(run, self.suite.directory(run), error))
            return
        again = "started again" if state.attempt else "started"
        self.progress.line(f"{run.name}: {again} on {slot.name}")
        state = replace(state, failure=None, finished=False, phase="", step=0)
        self.active.append(Active(run, directory, slot, process, events, state, time.monotonic()))

    def _read(self, active: Active) -> None:
        for event in active.events.poll():
            active.state = fold(active.state, event)
            self.progress.event(active.run.name, active.state, event)

    def _finish(self, active: Active, exit_code: int) -> None:
        self.active.remove(active)
        self.slots.release(active.slot)
        name, state, process = active.run.name, active.state, active.process
        failure = failure_of(name, active.directory, exit_code, state.failure, process.log_start)
        if failure is not None:
            self._fail(failure)
            return
        self.done += 1
        took = duration(time.monotonic() - active.since)
        trained = f", {count(state.parameters)} parameters" if state.parameters is not None else ""
        self.progress.line(f"{name}: done, {state.metric} {points(state.score)}{trained}, {took}")

    def _fail(self, failure: Failure) -> None:
        self.failures.append(failure)
        self.progress.line(f"{failure.run}: failed: {failure.message}")

    def stop(self, interrupts: Interrupts) -> None:
        """End every worker; a second interrupt does not wait for them."""
        before = interrupts.received
        terminate([a.process for a in self.active], hurry=lambda: interrupts.received > before)


def _not_started(run: PlannedRun, directory: RunDir, error: S3Error | OSError) -> Failure:
    if isinstance(error, S3Error):
        return Failure(run.name, error.kind, error.message, error.hint, directory.log)
    return Failure(run.name, "system", str(error), "", directory.log)


def run_suite(suite: Suite, plan: Plan, fresh: bool = False, command: Sequence[str] = WORKER) -> list[Failure]:
    """Run what the plan says and return what failed; raises StoppedError where a signal stopped it."""
    total = len(plan.start) + len(plan.finished)
    runner = Runner(
        suite, fresh, command, slots(suite.threads), watch(), list(plan.start), total, done=len(plan.finished)
    )
    with Interrupts() as interrupts:
        try:
            while runner.tick() and not interrupts.received:
                time.sleep(POLL_SECONDS)
        finally:
            runner.progress.close()
            stopped = [active.run.name for active in runner.active]
            runner.stop(interrupts)
    if interrupts.received:
        raise StoppedError(_what_was_stopped(stopped, len(runner.waiting)), "run the same command again to go on")
    return runner.failures


def _what_was_stopped(stopped: list[str], waiting: int) -> str:
    told = f"stopped {', '.join(stopped)}" if stopped else "stopped; no run was under way"
    return f"{told}; {waiting} had not started" if waiting else told
