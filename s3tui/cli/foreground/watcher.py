"""Reports the progress of runs from their files, whichever process dispatches them."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from core.run.events import EventReader
from s3tui.cli.foreground.progress import Progress, Tally
from s3tui.runs.index import Board
from s3tui.runs.over import is_over, rests
from s3tui.runs.run_state import RunState, fold
from s3tui.runs.status import Broken, Cancelled, Damaged, Dead, Done, Paused, Queued, Quiet, Running, attempt_of
from s3tui.runs.verdicts import verdict_of
from s3tui.runs.workspace import FoundRun
from s3tui.text.units import count, duration, points

FAILED = (Broken, Dead, Damaged, Cancelled)


@dataclass
class Watched:
    """The last reported state of one run."""

    tail: EventReader
    state: RunState = field(default_factory=RunState)
    reported: str = ""


class Watcher:
    """Watches the runs `names`, or all of the index; reported names are without `prefix`."""

    def __init__(
        self, board: Board, names: Iterable[str] | None, progress: Progress, done: int = 0, prefix: str = ""
    ) -> None:
        self.board, self.progress, self._prefix = board, progress, prefix
        self._names = None if names is None else set(names)
        self._done_before = done
        self._since = time.monotonic()
        self._watched: dict[str, Watched] = {}
        for name in self.names:
            run = board.runs.get(name)
            if run is not None:
                self._begin(run)

    @property
    def names(self) -> set[str]:
        """The names of the watched runs."""
        return set(self.board.runs) if self._names is None else self._names

    def add(self, names: Iterable[str]) -> None:
        """Watch further runs."""
        if self._names is not None:
            self._names.update(names)

    def _begin(self, run: FoundRun) -> Watched:
        """Read the events of earlier attempts without reporting them."""
        watched = self._watched[run.name] = Watched(EventReader(run.directory.events))
        for event in watched.tail.poll():
            watched.state = fold(watched.state, event)
        if not isinstance(run.status, (Running, Quiet)):
            watched.tail.close()
            watched.reported = "" if isinstance(run.status, Queued) else run.status.name
        return watched

    def update(self, changed: set[str]) -> None:
        """Report news, events first."""
        living = {}
        for name in sorted(self.names):
            run = self.board.runs.get(name)
            if run is None:
                continue
            watched = self._watched.get(name) or self._begin(run)
            lives = isinstance(run.status, (Running, Quiet))
            if lives or name in changed:
                # Report the start before the events, and an end after them.
                for report in (self._news, self._events) if lives else (self._events, self._news):
                    report(run, watched)
            if lives:
                living[self.shown(name)] = watched.state
            else:
                watched.tail.close()
        self.progress.refresh(living, self.tally(len(living)))

    def shown(self, name: str) -> str:
        """A run's name for display."""
        return name.removeprefix(self._prefix)

    def tally(self, running: int) -> Tally:
        """The number of runs in each state."""
        runs = [self.board.runs[name] for name in self.names if name in self.board.runs]
        done = sum(isinstance(run.status, Done) for run in runs)
        failed = sum(is_over(run) and not isinstance(run.status, Done) and not rests(run) for run in runs)
        total, resting = len(self.names) + self._done_before, sum(map(rests, runs))
        return Tally(total, done + self._done_before, failed, running, time.monotonic() - self._since, resting)

    def _events(self, run: FoundRun, watched: Watched) -> None:
        for event in watched.tail.poll():
            watched.state = fold(watched.state, event)
            self.progress.event(self.shown(run.name), watched.state, event)

    def _news(self, run: FoundRun, watched: Watched) -> None:
        """Report a change of status, once."""
        key, line = _line(run, watched.state)
        if line and key != watched.reported:
            self.progress.line(f"{self.shown(run.name)}: {line}")
        watched.reported = key or watched.reported


def _line(run: FoundRun, state: RunState) -> tuple[str, str]:
    """A key that identifies the news about a run, and the line to print."""
    status = run.status
    if isinstance(status, Running) and status.process is not None:
        again = " again" if state.attempt > 1 or (run.queue is not None and run.queue.settled) else ""
        return f"running {attempt_of(status.process)}", f"started{again} on {status.process.where}"
    if isinstance(status, Queued) and status.reason:
        return f"queued {status.reason}", status.reason
    if isinstance(status, Done):
        result = status.result
        trained = f", {count(result.parameters)} parameters"
        found = verdict_of(run)
        verdict = f"; search {found}" if found else ""
        return "done", f"done, {result.metric} {points(result.score)}{trained}, {duration(result.seconds)}{verdict}"
    if isinstance(status, Paused) and is_over(run):
        return f"paused {status.reason}", f"paused: {status.reason}"
    if isinstance(status, FAILED) and is_over(run):
        return f"{status.name} {status.note}", f"{status.name}: {_short(run)}".removesuffix(": ")
    return "", ""


def _short(run: FoundRun) -> str:
    return run.status.message if isinstance(run.status, Broken) else run.status.note
