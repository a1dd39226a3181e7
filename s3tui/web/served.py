"""The app behind a page: `python -m s3tui.web.served WORKSPACE [--allow-changes]`, started by the web server.

It never dispatches itself, as it ends with its page: runs are started by a dispatcher in the background.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from threading import Thread

from s3tui.runs.workspace import Workspace
from s3tui.tui.app import S3App
from s3tui.tui.support.memory import Memory, state_file
from s3tui.tui.support.seat import Seat

LOOK_SECONDS = 2.0  # between two looks whether the web server is still there
READ_ONLY = "s3tui serve --allow-changes lets a browser change things"


def app_of(workspace: Workspace, changes: bool) -> S3App:
    """The app of a page; what is only looked at remembers nothing, either."""
    if changes:
        return S3App(workspace, memory=Memory(state_file()), detached=True)
    return S3App(workspace, seat=Seat.LEFT, read_only=READ_ONLY, detached=True)


def _end_with(parent: int) -> None:
    """End once the web server, our parent, is gone; it may have been killed."""
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


def main(arguments: list[str]) -> int:
    """Show the workspace that the arguments name."""
    path, *more = arguments
    Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    app = app_of(Workspace(Path(path)), "--allow-changes" in more)
    app.run()
    return app.return_code or 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
