"""Sends what a suite has to tell: `python -m s3tui.notify.send WORKSPACE SUITE`, in a session of its own.

Nothing depends on it: whatever cannot be reached is a line in the record of the suite, which clients print.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from s3tui.notify.record import Notices, change, file_of
from s3tui.notify.services import sent
from s3tui.notify.targets import masked
from s3tui.runs.workspace import Workspace
from s3tui.system.child import PYTHON, surroundings
from s3tui.system.file_locks import locked

PATIENCE_SECONDS = 120.0  # after which a service that does not respond is given up
SENDING_SECONDS = 10.0  # for which a client that ends waits, so that it can say what could not be sent
NICENESS = 10  # lower priority than the search


def start_sender(workspace: Workspace, suite: str) -> subprocess.Popen[bytes]:
    """Start the process that sends the messages of a suite that wait."""
    quiet = subprocess.DEVNULL
    return subprocess.Popen(
        [*PYTHON, "-m", "s3tui.notify.send", str(workspace.path.absolute()), suite],
        stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True, **surroundings(),
    )  # fmt: skip


def send_all(workspace: Workspace, suite: str) -> None:
    """Send every message that waits, each to every service of the suite."""
    while (taken := _take(workspace, suite)) is not None:
        notices, message = taken
        failed = [target for target in notices.services if not _is_sent(target, f"s3tui: {suite}", message)]
        if failed:
            _warn(workspace, suite, failed)


def _is_sent(target: str, title: str, message: str) -> bool:
    try:
        return sent(target, title, message)
    except Exception:  # whatever the plugin of a service raises
        return False


def _take(workspace: Workspace, suite: str) -> tuple[Notices, str] | None:
    """Take the first message out of the record."""
    taken: list[tuple[Notices, str]] = []

    def take(notices: Notices) -> Notices:
        if not notices.waiting:
            return notices
        taken.append((notices, notices.waiting[0]))
        return replace(notices, waiting=notices.waiting[1:])

    change(workspace, suite, take)
    return taken[0] if taken else None


def _warn(workspace: Workspace, suite: str, failed: Sequence[str]) -> None:
    """Leave a warning for the clients, once for the same services."""
    warning = (
        f"{suite}: no notification through {', '.join(map(masked, failed))}; s3tui validate says what may be wrong"
    )

    def warn(notices: Notices) -> Notices:
        if notices.warning == warning:
            return notices
        return replace(notices, warning=warning, warned=notices.warned + 1)

    change(workspace, suite, warn)


def main(arguments: list[str]) -> None:
    """Send the messages of the suite that the arguments name; one process at a time does so."""
    workspace, suite = Workspace(Path(arguments[0])), arguments[1]
    os.nice(NICENESS)
    patience = threading.Timer(PATIENCE_SECONDS, os._exit, (1,))
    patience.daemon = True
    with locked(file_of(workspace, suite).with_suffix(".lock")):
        patience.start()
        send_all(workspace, suite)
    os._exit(0)  # a plugin may have left threads running


if __name__ == "__main__":
    main(sys.argv[1:])
