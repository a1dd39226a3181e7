"""The command `mirror`: sends events of runs to experiment trackers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from core.run.errors import EXIT_FAILED, EXIT_OK, UsageError, nearest
from s3tui.cli.diagnostics import say
from s3tui.runs.lookup import find_names, find_workspace
from s3tui.tracking.registry import TRACKERS, where_to_look
from s3tui.tracking.start import start_follower


def mirror(patterns: Sequence[str], trackers: Sequence[str], where: Path | None, as_json: bool) -> int:
    """Mirror runs into trackers; a running one is followed to its end."""
    for tracker in trackers:
        if tracker not in TRACKERS:
            raise UsageError(f"no tracker is called {tracker!r}", nearest(tracker, TRACKERS))
    workspace = find_workspace(where)
    workspace.make_writable()
    rows: list[dict[str, str | bool]] = []
    commands: dict[str, None] = {}  # that show what was mirrored, each once
    for name in find_names(patterns, workspace.names()):
        children = {tracker: start_follower(workspace, name, tracker, None, new_session=False) for tracker in trackers}
        for tracker, child in children.items():
            ok = child.wait() == EXIT_OK
            rows.append({"run": name, "tracker": tracker, "ok": ok})
            if ok:
                folder, command = where_to_look(tracker, workspace.run(name).mirror / tracker, workspace.path)
                say(f"{tracker} is up to date with {name}{folder and f': {folder}'}")
                commands |= {command: None} if command else {}
    if as_json:
        print(json.dumps({"rows": rows}))
    elif commands:
        say(f"look: {'; '.join(commands)}")
    return EXIT_OK if all(row["ok"] for row in rows) else EXIT_FAILED
