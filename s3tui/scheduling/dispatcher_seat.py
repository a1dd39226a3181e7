"""The seat of the dispatcher: whoever watches a workspace takes it while it is free, and leaves it in good order."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from s3tui.devices.nvml import visible_gpus
from s3tui.launchers.local import GRACE_SECONDS, WORKER, Local
from s3tui.runs.index import Board
from s3tui.runs.workspace import Workspace
from s3tui.scheduling.detached import start_detached
from s3tui.scheduling.dispatcher import Dispatcher, claim
from s3tui.scheduling.retry_policy import BACKOFF_SECONDS
from s3tui.system.file_locks import try_lock

LOCK_SECONDS = 1.0  # between two tries for the lock of another dispatcher, which may have died


@dataclass(frozen=True)
class Settings:
    """How runs are started; tests give a stand-in for the worker, and less patience."""

    command: Sequence[str] = WORKER
    grace: float = GRACE_SECONDS
    backoff: float = BACKOFF_SECONDS


class Seat:
    """Dispatches the runs of a board whenever nobody else does. `dispatcher` is None while another has the seat."""

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
            claim(self._lock)
            launcher = Local(self.settings.command, self.settings.grace)
            self.dispatcher = Dispatcher(self.board, launcher, visible_gpus, self.settings.backoff)

    def leave(self) -> bool:
        """Let go of the lock. Where anything is left to do, a dispatcher without a terminal takes it: True then.

        False as well where that one failed at once; its log says why.
        """
        if self._lock is None or self.dispatcher is None:
            return False
        os.close(self._lock)
        self._lock = None
        self.board.refresh()
        has_work = self.dispatcher.has_work
        self.dispatcher = None
        return has_work and not start_detached(self.board.workspace, self.settings.command)


def who_dispatches(workspace: Workspace) -> str:
    """The dispatcher in words, as `process 17 on node3`."""
    who = workspace.dispatcher() or {"pid": 0, "host": ""}
    return f"process {who['pid']} on {who['host']}" if who["pid"] else "another process"
