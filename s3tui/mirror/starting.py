"""Starts the processes that mirror runs."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from core.run.errors import EXIT_FAILED, EXIT_OK, SpecError, nearest
from s3tui.child import PYTHON, surroundings
from s3tui.diagnostics import say
from s3tui.find import find_names, find_workspace
from s3tui.mirror.trackers import NAMES
from s3tui.workspace import Workspace


def start_mirrors(workspace: Workspace, name: str, trackers: Sequence[str]) -> list[subprocess.Popen[bytes]]:
    """Mirror an attempt at a run, in sessions of their own; what is to be said goes into the run's log."""
    if not trackers:
        return []
    log = os.open(workspace.run(name).log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        return [_start(workspace, name, tracker, log, new_session=True) for tracker in trackers]
    except OSError as error:
        os.write(log, f"s3tui mirror: no tracker could be started: {error}\n".encode())
        return []
    finally:
        os.close(log)


def _start(
    workspace: Workspace, name: str, tracker: str, log: int | None, new_session: bool
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*PYTHON, "-m", "s3tui.mirror.follow", str(workspace.path.absolute()), name, tracker],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, start_new_session=new_session,
        **surroundings({"OMP_NUM_THREADS": "1"}),
    )  # fmt: skip


def mirror(patterns: Sequence[str], trackers: Sequence[str], where: Path | None, as_json: bool) -> int:
    """Tell trackers of runs, from their files; a run that is being worked on is followed to its end."""
    for tracker in trackers:
        if tracker not in NAMES:
            raise SpecError(f"no tracker is called {tracker!r}", nearest(tracker, NAMES))
    workspace = find_workspace(where)
    workspace.make_writable()
    rows = []
    for name in find_names(patterns, workspace.names()):
        children = {tracker: _start(workspace, name, tracker, None, new_session=False) for tracker in trackers}
        for tracker, child in children.items():
            ok = child.wait() == EXIT_OK
            rows.append({"run": name, "tracker": tracker, "ok": ok})
            if ok:
                say(f"{tracker} knows all of {name}")
    if as_json:
        print(json.dumps({"rows": rows}))
    return EXIT_OK if all(row["ok"] for row in rows) else EXIT_FAILED
