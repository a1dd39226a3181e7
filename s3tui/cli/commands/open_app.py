"""Opens the app, and reports afterwards what continues in the background."""

from __future__ import annotations

import sys
from pathlib import Path

from core.run.errors import EXIT_OK, UsageError
from s3tui.cli.diagnostics import say
from s3tui.runs.lookup import DEFAULT_FILE, DEFAULT_WORKSPACE, find_workspace
from s3tui.runs.workspace import Workspace
from s3tui.scheduling.dispatcher import Settings


def open_app(where: Path | None, settings: Settings | None = None, watch: bool = False) -> int:
    """Show a workspace until the user quits. If there is none yet, `runs` in this folder will be created.

    With `watch` the app starts no queued runs until the user tells it to.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("the app needs a terminal", "s3tui status, list and show work without one")
    workspace = _workspace(where)
    from s3tui.tui.app import S3App
    from s3tui.tui.support.memory import Memory, state_file
    from s3tui.tui.support.seat import Seat

    app = S3App(workspace, settings, Seat.LEFT if watch else Seat.UNDECIDED, Memory(state_file()))
    app.run()
    if app.left is not None and (app.left.running or app.left.goes_on):
        waiting = ", and what is queued," if app.left.goes_on else ""
        say(f"{app.left.running} running{waiting} in the background; s3tui open {workspace.path} shows them again")
    return app.return_code or EXIT_OK


def _workspace(where: Path | None) -> Workspace:
    if where is None and not any(Path(name).exists() for name in (DEFAULT_FILE, DEFAULT_WORKSPACE)):
        return Workspace(Path(DEFAULT_WORKSPACE).resolve())
    return find_workspace(where)
