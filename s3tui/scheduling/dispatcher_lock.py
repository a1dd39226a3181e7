"""Acquires, holds and releases the dispatcher lock of a workspace, and dispatches while it is held."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator

from s3tui.runs.index import Board
from s3tui.runs.workspace import Workspace
from s3tui.scheduling.dispatcher import Dispatcher, Settings
from s3tui.scheduling.start_detached import start_detached
from s3tui.system.file_locks import try_lock
from s3tui.system.process_identity import this_host

LOCK_SECONDS = 1.0  # between two tries for the lock of another dispatcher, which may have died


@contextlib.contextmanager
def dispatching(workspace: Workspace) -> Iterator[bool]:
    """Hold the dispatcher lock for as long as this is entered; False where another process holds it."""
    handle = try_lock(workspace.lock)
    if handle is None:
        yield False
        return
    try:
        _claim(handle)
        yield True
    finally:
        os.close(handle)


def _claim(handle: int) -> None:
    """Write down who holds the lock; on a full disk that stays unsaid, but the lock is held all the same."""
    with contextlib.suppress(OSError):
        os.ftruncate(handle, 0)
        os.write(handle, json.dumps({"pid": os.getpid(), "host": this_host(), "since": time.time()}).encode())


class DispatcherLock:
    """Dispatches the runs of a board whenever no other process does; `dispatcher` is None while one does."""

    def __init__(self, board: Board, settings: Settings | None = None) -> None:
        self.board = board
        self.settings = settings or Settings()
        self.dispatcher: Dispatcher | None = None
        self.has_looked = False
        self._lock: int | None = None
        self._tried_at = float("-inf")

    @property
    def trouble(self) -> str:
        """What the machine refuses now, as a full disk does; empty where all is well."""
        return self.dispatcher.trouble if self.dispatcher else ""

    def tick(self) -> set[str]:
        """One round, as the dispatcher or as one who watches; gives the names of the runs that may have changed."""
        if self._lock is None:
            self._try_to_take()
        return self.dispatcher.tick() if self.dispatcher else self.board.refresh()

    def _try_to_take(self) -> None:
        if time.monotonic() - self._tried_at < LOCK_SECONDS:
            return
        self._tried_at = time.monotonic()
        self._lock = try_lock(self.board.workspace.lock)
        self.has_looked = True
        if self._lock is not None:
            _claim(self._lock)
            self.dispatcher = Dispatcher(self.board, self.settings)

    def wait_for_notices(self, seconds: float) -> None:
        """Wait until what there is to notify from here has been sent."""
        if self.dispatcher is not None:
            self.dispatcher.wait_for_notices(seconds)

    def leave(self) -> bool:
        """Release the lock. Where anything is left to do, a detached dispatcher takes it: True then.

        False as well where that one failed at once; its log says why.
        """
        return self.release() and not start_detached(self.board.workspace, self.settings.command)

    def release(self) -> bool:
        """Release the lock: what is queued waits for the next one to take it. Gives whether anything is left to do."""
        if self._lock is None or self.dispatcher is None:
            return False
        os.close(self._lock)
        self._lock = None
        self.board.refresh()
        has_work = self.dispatcher.has_work
        self.dispatcher = None
        return has_work


def who_dispatches(workspace: Workspace) -> str:
    """The dispatcher in words, as `process 17 on node3`."""
    who = workspace.dispatcher() or {"pid": 0, "host": ""}
    return f"process {who['pid']} on {who['host']}" if who["pid"] else "another process"
