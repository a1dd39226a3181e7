"""Has the runs of a workspace dispatched in the background, for clients that must not be the dispatcher."""

from __future__ import annotations

import time

from s3tui.runs.index import Board
from s3tui.scheduling.dispatcher import Settings, may_start
from s3tui.scheduling.start_detached import start_detached

AGAIN_SECONDS = 30.0  # between two starts of a dispatcher that ends at once, as where no run can ever start


class Background:
    """Starts a detached dispatcher whenever a run may start and nobody dispatches; `trouble` is why it could not."""

    def __init__(self, board: Board, settings: Settings | None = None) -> None:
        self._board, self._settings = board, settings or Settings()
        self._started_at = float("-inf")
        self.trouble = ""

    def tick(self, at_once: bool) -> None:
        """Look, and start one; `at_once` if the user has just asked for something."""
        workspace = self._board.workspace
        is_due = at_once or time.monotonic() - self._started_at >= AGAIN_SECONDS
        if is_due and may_start(self._board) and workspace.dispatcher() is None:
            self._started_at = time.monotonic()
            self.trouble = " ".join(start_detached(workspace, self._settings.command)[-1:])
