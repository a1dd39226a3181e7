"""A dispatcher without a terminal: `python -m s3tui.scheduling.detached WORKSPACE [COMMAND...]`.

It ends when the queue is empty.
SIGTERM and SIGINT end it; the runs go on, and the next dispatcher adopts them.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from s3tui.launchers.base import WORKER
from s3tui.notify.news import News
from s3tui.notify.send import SENDING_SECONDS
from s3tui.runs.index import Board
from s3tui.runs.workspace import Workspace
from s3tui.scheduling.dispatcher import Dispatcher, Settings
from s3tui.scheduling.dispatcher_lock import dispatching
from s3tui.system.signals import Interrupts

POLL_SECONDS = 0.25


def dispatch_all(workspace: Workspace, command: Sequence[str]) -> None:
    """Dispatch until nothing is left to do, a signal comes, or another process dispatches."""
    dispatcher, news = Dispatcher(Board(workspace), Settings(command)), News(workspace)
    with Interrupts() as interrupts:
        while not interrupts.received:
            with dispatching(workspace) as ours:
                while ours and not interrupts.received:
                    before = dispatcher.trouble
                    dispatcher.tick()
                    if dispatcher.trouble and dispatcher.trouble != before:
                        print(f"{dispatcher.trouble}; trying again", flush=True)
                    if not dispatcher.has_work and not dispatcher.trouble:
                        dispatcher.wait_for_notices(SENDING_SECONDS)
                        _print_warnings(news)
                        break
                    _print_warnings(news)
                    time.sleep(POLL_SECONDS)
            # Something may have come into the queue before the lock was released.
            dispatcher.board.refresh()
            if not ours or not dispatcher.has_work:
                return


def _print_warnings(news: News) -> None:
    """Print what could not be sent since the last time."""
    before = len(news.warnings)
    news.look()
    for warning in news.warnings[before:]:
        print(warning, flush=True)


def main(arguments: list[str]) -> int:
    """Be the dispatcher of the workspace that the arguments name."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    path, *command = arguments
    dispatch_all(Workspace(Path(path)), command or WORKER)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
