"""Reads the workspace in a background thread and publishes snapshots, so that slow disks never block the interface.

The thread reads files, dispatches unless another process does, and carries out requests of the user. It publishes
immutable snapshots and never touches the screen; the app only draws the latest one.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from core.run.errors import RunDirError
from core.run.events import EventReader
from s3tui.devices.leases import Leases
from s3tui.devices.nvml import visible_gpus
from s3tui.listing.run_row import Line, line_of
from s3tui.notify.news import News
from s3tui.report.race_view import RaceView, view_of
from s3tui.runs.history import History
from s3tui.runs.index import Board
from s3tui.runs.log_reader import LogReader
from s3tui.runs.run_state import RunState, fold
from s3tui.runs.status import Queued, Quiet, Running
from s3tui.runs.verdicts import Verdicts
from s3tui.runs.workspace import FoundRun, Workspace
from s3tui.scheduling.background import Background
from s3tui.scheduling.dispatcher import Settings, may_start
from s3tui.scheduling.dispatcher_lock import DispatcherLock, who_dispatches
from s3tui.scheduling.races import race_called, race_names
from s3tui.system.cpu import usable_cores
from s3tui.text.sanitize import clean
from s3tui.tui.snapshot import Devices, RunDetail, Snapshot
from s3tui.tui.support.seat import Seat

LIVE_SECONDS = (
    0.25  # between two updates while something runs: fast enough for the eye, a third of the cost of ten a second
)
IDLE_SECONDS = 1.0  # and while nothing does
BOARD_SECONDS = 0.25  # between two rounds of the dispatcher
DEVICE_SECONDS = 2.0
RACE_SECONDS = 1.0  # between two looks at the race that is shown
READ_BYTES = 2**18  # of an event file at a time, so that many files progress together
READ_SECONDS = 0.1  # of reading events before the next snapshot
VERDICT_SECONDS = 0.03  # of reading structures in a round; the first table does not wait for them
LOG_BYTES = 2**20  # read from the end of an existing log
LOG_LINES = 5000


class Follower:
    """Follows one run: its state, and if it is watched, also its history and its log."""

    def __init__(self, run: FoundRun, watched: bool, state: RunState | None) -> None:
        self.watched, self.state = watched, state
        self._detail: RunDetail | None = RunDetail()
        self._events = EventReader(run.directory.events, every_step=watched)
        self._log = LogReader(run.directory.log, LOG_BYTES)
        self._history, self._folded = History(), RunState()
        self._lines: deque[str] = deque(maxlen=LOG_LINES)
        self.loaded = False

    def poll(self) -> bool:
        """Read the next chunk; returns whether there was anything new."""
        events = self._events.poll(READ_BYTES)
        lines = self._log.poll() if self.watched else []
        is_news = bool(events or lines) or not self.loaded
        self.loaded = self.loaded or not self._events.is_behind
        for event in events:
            if self.watched:
                self._history.add(event)
            else:
                self._folded = fold(self._folded, event)
        if self.loaded:
            self.state = self._history.state if self.watched else self._folded
        if self.watched and is_news:
            self._lines.extend(map(clean, lines))
            self._detail = None
        return is_news

    @property
    def detail(self) -> RunDetail:
        """The details of the run so far; created on demand, as they are large."""
        if self._detail is None:
            self._detail = RunDetail(self._history.view(self._events.skipped), tuple(self._lines), self.loaded)
        return self._detail

    def close(self) -> None:
        """Close the files."""
        self._events.close()


class Feed:
    """Publishes snapshots of a workspace until it is closed.

    `publish` is called from the feed's thread, and `broken` if an unexpected error ends it.
    """

    def __init__(
        self,
        workspace: Workspace,
        publish: Callable[[Snapshot], None],
        broken: Callable[[BaseException], None],
        settings: Settings | None = None,
        seat: Seat = Seat.UNDECIDED,
        read_only: str = "",
        detached: bool = False,
    ) -> None:
        self.workspace = workspace
        self._publish, self._broken = publish, broken
        self._board = Board(workspace)
        self._dispatching = DispatcherLock(self._board, settings)
        self.seat, self._asks = seat, False
        self._forbidden, self._read_only = read_only, read_only
        self._background = Background(self._board, settings) if detached else None
        self._requests: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._watched: frozenset[str] = frozenset()
        self._race, self._races = "", frozenset[str]()
        self._race_view: RaceView | None = None
        self._followers: dict[str, Follower] = {}
        self._lines: dict[str, Line] = {}
        self._verdicts = Verdicts()
        self._news = News(workspace)
        self._reasons: Mapping[str, str] = {}
        self._devices = Devices()
        self._shown: tuple[object, ...] = ()
        self._has_news, self._published_at = False, float("-inf")
        self._board_at = self._devices_at = self._races_at = float("-inf")
        self._wake, self._ending = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> bool:
        """End, and release the dispatcher lock; returns whether a background dispatcher takes over."""
        self._ending.set()
        self._wake.set()
        self._thread.join()
        for follower in self._followers.values():
            follower.close()
        return self._dispatching.leave()

    def watch(self, names: Iterable[str], race: str = "") -> None:
        """From now on load the details of exactly these runs, and of this race."""
        self._watched, self._race = frozenset(names), race
        self._wake.set()

    def do(self, request: Callable[[], None]) -> None:
        """Call `request` in the feed's thread, and read the runs again immediately."""
        self._requests.put(request)
        self._wake.set()

    def decide(self, seat: Seat) -> None:
        """Take the dispatcher's seat as soon as it is free, or leave it."""

        def work() -> None:
            self.seat, self._asks = seat, False
            if seat is Seat.LEFT:
                self._dispatching.release()

        self.do(work)

    def _run(self) -> None:
        try:
            self._go_on()
        except BaseException as error:
            self._broken(error)

    def _go_on(self) -> None:
        self._read_only = self._forbidden or self._why_read_only()
        while not self._ending.is_set():
            self._wake.clear()
            self._round()
            live = any(isinstance(run.status, (Running, Quiet)) for run in self._board.unfinished.values())
            if self._verdicts.is_behind:
                self._wake.wait(VERDICT_SECONDS)  # half of the time is left to the interface
            elif not self._is_behind():
                self._wake.wait(LIVE_SECONDS if live else IDLE_SECONDS)

    def _why_read_only(self) -> str:
        if not self.workspace.is_made:
            return ""  # the first suite creates it
        try:
            self.workspace.make_writable()
        except RunDirError as error:
            return str(error)
        return ""

    def _round(self) -> None:
        requested = self._do_requests()
        changed = self._look_at_runs(at_once=requested)
        changed |= self._read_events()
        changed |= self._verdicts.advance(VERDICT_SECONDS)
        self._verdicts.note({name: self._board.runs.get(name) for name in changed})
        self._look_at_devices()
        self._look_at_races(at_once=requested)
        for name in changed:
            self._line(name)
        self._publish_what_is_new(bool(changed))

    def _do_requests(self) -> bool:
        requested = False
        while not self._requests.empty():
            self._requests.get()()
            requested = True
        return requested

    def _look_at_runs(self, at_once: bool) -> set[str]:
        now = time.monotonic()
        if not at_once and now - self._board_at < BOARD_SECONDS:
            return set()
        self._board_at = now
        may_dispatch = not self._read_only and self.workspace.shared.exists()
        if may_dispatch and self.seat is Seat.TAKEN and self._background is None:
            changed = self._dispatching.tick()
        else:
            changed = self._board.refresh()
            if may_dispatch and self.seat is Seat.UNDECIDED:
                self._decide_if_free()
            elif may_dispatch and self.seat is Seat.TAKEN and self._background is not None:
                self._background.tick(at_once)
        self._news.look()
        reasons = self.workspace.reasons()
        if reasons != self._reasons:
            changed |= {name for name, run in self._board.unfinished.items() if isinstance(run.status, Queued)}
            self._reasons = reasons
        return changed

    def _decide_if_free(self) -> None:
        """Take the seat if it is free and that starts nothing; ask if it would start something."""
        if self._is_dispatched():
            self._asks = False
        elif may_start(self._board):
            self._asks = True
        elif self._background is None:
            self.seat, self._asks = Seat.TAKEN, False
            self._board_at = float("-inf")
            self._wake.set()

    def _read_events(self) -> set[str]:
        """Read events of live and watched runs for a limited time; the rest is read in the next round."""
        unfinished = self._board.unfinished
        live = {name for name, run in unfinished.items() if isinstance(run.status, (Running, Quiet))}
        wanted = live | (self._watched & self._board.runs.keys())
        for name in self._followers.keys() - wanted:
            self._followers.pop(name).close()
        deadline = time.monotonic() + READ_SECONDS
        changed = set()
        # Watched runs first; then those that have waited the longest, which is the order of the followers.
        waited = {name: place for place, name in enumerate(self._followers)}
        for name in sorted(wanted, key=lambda name: (name not in self._watched, waited.get(name, -1))):
            follower = self._follower(name)
            self._followers[name] = follower
            if follower.poll():
                changed.add(name)
            if time.monotonic() > deadline:
                break
        return changed

    def _follower(self, name: str) -> Follower:
        """Remove and return the follower of a run, or a new one if the run is now watched or no longer watched."""
        watched = name in self._watched
        follower = self._followers.pop(name, None)
        if follower is not None and follower.watched == watched:
            return follower
        if follower is not None:
            follower.close()
        return Follower(self._board.runs[name], watched, follower.state if follower else None)

    def _look_at_devices(self) -> None:
        now = time.monotonic()
        if now - self._devices_at < DEVICE_SECONDS:
            return
        self._devices_at = now
        leases = Leases(self.workspace.leases)
        gpus = tuple(visible_gpus())
        by_key = {key: tuple(held) for key, held in leases.gpus().items()}
        load = round(os.getloadavg()[0], 1)
        self._devices = Devices(gpus, by_key, usable_cores(), leases.cores(), load)

    def _look_at_races(self, at_once: bool) -> None:
        now, shown = time.monotonic(), self._race_view.race.name if self._race_view else ""
        if not at_once and shown == self._race and now - self._races_at < RACE_SECONDS:
            return
        self._races_at = now
        self._races = frozenset(race_names(self._board))
        race = race_called(self._board, self._race) if self._race else None
        view = view_of(race) if race is not None else None
        if view != self._race_view:
            self._race_view = view

    def _line(self, name: str) -> None:
        run = self._board.runs.get(name)
        if run is None:
            self._lines.pop(name, None)
            return
        follower = self._followers.get(name)
        line = line_of(run, self._reasons, follower.state if follower else None, self._verdicts.get(name))
        if line != self._lines.get(name):
            self._lines[name] = line

    def _publish_what_is_new(self, runs_changed: bool) -> None:
        who = (
            ""
            if self._dispatching.dispatcher
            else who_dispatches(self.workspace)
            if self._is_dispatched()
            else "nobody"
        )
        rest = (
            self._devices,
            who,
            self.workspace.pause.exists(),
            self._trouble,
            self._read_only,
            self._asks,
            self._watched,
            self._races,
            self._race_view,
            self._news.rings,
            self._news.warnings,
        )
        self._has_news |= runs_changed or rest != self._shown
        now = time.monotonic()
        # A long file is read in chunks, faster than is worth drawing each of them.
        if not self._has_news or (self._is_behind() and now - self._published_at < LIVE_SECONDS):
            return
        self._shown, self._has_news, self._published_at = rest, False, now
        details = {n: f.detail for n, f in self._followers.items() if n in self._watched}
        self._publish(
            Snapshot(
                dict(self._lines), dict(self._board.runs), details, self._devices, who, bool(rest[2]),
                self._trouble, self._read_only, self._asks, self._races, self._race_view,
                self._news.rings, self._news.warnings, dict(self._board.unfinished), loaded=True,
            )
        )  # fmt: skip

    @property
    def _trouble(self) -> str:
        return self._dispatching.trouble or (self._background.trouble if self._background else "")

    def _is_behind(self) -> bool:
        return self._verdicts.is_behind or not all(follower.loaded for follower in self._followers.values())

    def _is_dispatched(self) -> bool:
        return self.workspace.dispatcher() is not None
