"""A foreground session: watches runs until they end, and dispatches them unless another process does."""

from __future__ import annotations

import contextlib
import select
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from core.run.errors import EXIT_INTERRUPTED, S3Error
from s3tui.cli.diagnostics import say
from s3tui.cli.foreground.progress import watch
from s3tui.cli.foreground.watcher import Watcher
from s3tui.launchers.base import RefusedError
from s3tui.notify.news import News
from s3tui.notify.send import SENDING_SECONDS
from s3tui.runs.index import Board
from s3tui.runs.over import is_over
from s3tui.runs.status import Queued, Quiet, Running
from s3tui.runs.workspace import FoundRun, Workspace
from s3tui.scheduling.control import cancel, hold, wait_for_end
from s3tui.scheduling.dispatcher import Settings
from s3tui.scheduling.dispatcher_lock import DispatcherLock, who_dispatches
from s3tui.scheduling.races import has_actions, races
from s3tui.system.signals import Interrupts

POLL_SECONDS = 0.25
LISTED = 5  # most runs that are listed by name

Request = Literal["leave", "stop", "cancel", "go on"]


class StoppedError(S3Error):
    """The session ended before the runs did, from the keyboard or by a signal."""

    kind = "interrupted"
    exit_code = EXIT_INTERRUPTED


class Session:
    """A session that watches the runs `names` of `suite`, or all runs of the workspace."""

    def __init__(
        self,
        workspace: Workspace,
        suite: str = "",
        names: Iterable[str] = (),
        done: int = 0,
        settings: Settings | None = None,
    ) -> None:
        self.workspace = workspace
        self.board = Board(workspace)
        self.board.refresh()
        self.dispatching = DispatcherLock(self.board, settings)
        mine = {f"{suite}/{name}" for name in names} if suite else None
        self.watcher = Watcher(self.board, mine, watch(), done, prefix=f"{suite}/" if suite else "")
        self._suite = suite
        self._announced_dispatcher = False
        self._trouble = ""
        self._news = News(workspace)
        self._news.look()
        self._waits: dict[str, str] = {}  # for the search of another run, as last told
        self._follow_confirmations()

    def run(self, when_interrupted: Callable[[Session, Interrupts], Request]) -> list[FoundRun]:
        """Watch until all runs have ended; raises StoppedError if the user or a signal ends the session earlier."""
        with Interrupts() as interrupts:
            try:
                handled = 0
                while not self._is_over():
                    if interrupts.received > handled:
                        self._do(when_interrupted(self, interrupts), interrupts)
                        handled = interrupts.received
                    self._tick()
                    time.sleep(POLL_SECONDS)
                self.dispatching.wait_for_notices(SENDING_SECONDS)
                self._tell_news()
            finally:
                self.watcher.progress.close()
                if self.dispatching.leave():
                    say("other queued runs continue in the background")
        return self.mine()

    def mine(self) -> list[FoundRun]:
        """The watched runs, sorted by name."""
        return [self.board.runs[name] for name in sorted(self.watcher.names) if name in self.board.runs]

    def _tick(self) -> None:
        changed = self.dispatching.tick()
        if changed:
            self._follow_confirmations()
        if self.dispatching.dispatcher is None and not self._announced_dispatcher:
            self._announced_dispatcher = True
            self.watcher.progress.line(f"{who_dispatches(self.workspace)} dispatches these runs; this only watches")
        self._tell_waits()
        self.watcher.update(changed)
        trouble = self.dispatching.trouble
        if trouble and trouble != self._trouble:
            self.watcher.progress.line(f"{trouble}; trying again")
        self._trouble = trouble
        self._tell_news()

    def _tell_news(self) -> None:
        """Ring for notifications, and say which could not be sent."""
        rung, warned = self._news.rings, len(self._news.warnings)
        self._news.look()
        if self._news.rings > rung:
            self.watcher.progress.ring()
        for warning in self._news.warnings[warned:]:
            self.watcher.progress.line(warning)

    def _tell_waits(self) -> None:
        """Say once of each run that it waits for the search of another."""
        waits = self.dispatching.dispatcher.searching if self.dispatching.dispatcher else {}
        for name, reason in waits.items():
            if name in self.watcher.names and self._waits.get(name) != reason:
                self.watcher.progress.line(f"{self.watcher.shown(name)}: {reason}")
        self._waits |= waits

    def _follow_confirmations(self) -> None:
        """Watch the runs, too, that races of ours have added."""
        if self._suite:
            for race in races(self.board, self._suite):
                if any(f"{self._suite}/{arm}" in self.watcher.names for arm in race.record.arms):
                    self.watcher.add(race.confirmations)

    def _is_over(self) -> bool:
        return self.dispatching.has_looked and self._have_ended() and not has_actions(self.board, self._suite)

    def _have_ended(self) -> bool:
        """Whether the watched runs have ended, or can never start."""
        dispatcher = self.dispatching.dispatcher
        if dispatcher is None:
            return all(map(is_over, self.mine()))
        impossible = dispatcher.impossible
        return all((is_over(run) or run.name in impossible) and not dispatcher.is_open(run) for run in self.mine())

    def _do(self, request: Request, interrupts: Interrupts) -> None:
        if request == "go on":
            return
        before = interrupts.received
        running = [run for run in self.mine() if isinstance(run.status, (Running, Quiet))]
        waiting = [run for run in self.mine() if isinstance(run.status, Queued)]
        if request == "leave":
            raise StoppedError(f"left {self._listed(running)} running, {len(waiting)} waiting", "s3tui attach watches")
        action = hold if request == "stop" else cancel
        for run in (*waiting, *running):
            with contextlib.suppress(RefusedError):  # it has ended by itself
                action(self.workspace, run)
        if running:
            self.watcher.progress.line(f"waiting for {self._listed(running)} to end")
        wait_for_end(self.workspace, running, request == "cancel", hurry=lambda: interrupts.received > before)
        done = "stopped" if request == "stop" else "cancelled"
        message = f"{done} {self._listed(running)}" if running else f"{done}; no run was under way"
        if waiting:
            message += f"; {len(waiting)} had not started"
        raise StoppedError(message, "run the same command again to go on")

    def _listed(self, runs: Sequence[FoundRun]) -> str:
        if len(runs) > LISTED:
            return f"{len(runs)} runs"
        return ", ".join(self.watcher.shown(run.name) for run in runs) or "nothing"


def stop_or_ask(session: Session, interrupts: Interrupts) -> Request:
    """For `run`: ask at the terminal; leave the runs if the terminal hung up; otherwise stop them."""
    return _request(session, interrupts, otherwise="stop")


def leave_or_ask(session: Session, interrupts: Interrupts) -> Request:
    """For `attach`: ask at the terminal; otherwise leave the runs going."""
    return _request(session, interrupts, otherwise="leave")


def _request(session: Session, interrupts: Interrupts, otherwise: Request) -> Request:
    if interrupts.hung_up:
        return "leave"
    if interrupts.terminated or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return otherwise
    return _ask(session, interrupts)


def _ask(session: Session, interrupts: Interrupts) -> Request:
    """Ask the user at the terminal; a second Ctrl-C stops the runs."""
    session.watcher.progress.close()
    question = "(l)eave the runs going, (s)top them with a checkpoint, (c)ancel them; Enter goes on watching: "
    print(question, end="", file=sys.stderr, flush=True)
    before = interrupts.received
    while not select.select([sys.stdin], [], [], 0.1)[0]:
        if interrupts.received > before:
            print(file=sys.stderr)
            return "leave" if interrupts.hung_up else "stop"
    answers: dict[str, Request] = {"l": "leave", "s": "stop", "c": "cancel"}
    request = answers.get(sys.stdin.readline().strip().lower()[:1], "go on")
    if request == "go on":
        session.watcher.progress = watch()
    return request
