"""The commands that print the log or the events of a run, and follow them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.run.errors import EXIT_OK
from core.run.events import Event, EventReader
from s3tui.runs.log_reader import LogReader
from s3tui.runs.lookup import find_name, find_workspace
from s3tui.runs.over import is_over
from s3tui.runs.workspace import Workspace, read_run
from s3tui.text.sanitize import clean

POLL_SECONDS = 0.1
LOOK_SECONDS = 1.0  # between two checks whether the run has ended
LONGEST = 12  # values of a list that are printed


def events(pattern: str, follow: bool, where: Path | None, as_json: bool) -> int:
    """Print the events of a run, one per line."""
    workspace, name = _the_run(pattern, where)
    tail = EventReader(workspace.run(name).events)
    for batch in _batches(tail.poll, follow, workspace, name):
        for event in batch:
            print(_as_json(event) if as_json else clean(_in_words(event)))
        sys.stdout.flush()
    return EXIT_OK


def _as_json(event: Event) -> str:
    return json.dumps({"type": event.type} | asdict(event), separators=(",", ":"))


def _in_words(event: Event) -> str:
    fields = {k: v for k, v in asdict(event).items() if k not in ("seq", "t") and v not in (None, "")}
    values = " ".join(f"{key}={_short(value)}" for key, value in fields.items())
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(event.t))} {event.type} {values}"


def _short(value: Any) -> str:
    if isinstance(value, list) and len(value) > LONGEST:
        return f"[{len(value)} values]"
    if isinstance(value, dict):
        return ",".join(f"{key}:{_short(inner)}" for key, inner in value.items())
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def logs(pattern: str, follow: bool, last: int | None, where: Path | None, as_json: bool) -> int:
    """Print the log of a run."""
    workspace, name = _the_run(pattern, where)
    first = True
    for batch in _batches(LogReader(workspace.run(name).log).poll, follow, workspace, name):
        for line in batch[-last:] if first and last else [] if first and last == 0 else batch:
            print(json.dumps({"line": line}) if as_json else clean(line))
        first = False
        sys.stdout.flush()
    return EXIT_OK


def _the_run(pattern: str, where: Path | None) -> tuple[Workspace, str]:
    workspace = find_workspace(where)
    return workspace, find_name(pattern, workspace.names())


def _batches(poll: Callable[[], list[Any]], follow: bool, workspace: Workspace, name: str) -> Iterator[list[Any]]:
    """The existing items, and with `follow` new ones until the run ends."""
    over = not follow
    while True:
        yield poll()
        if over:
            return
        deadline = time.monotonic() + LOOK_SECONDS
        # Checked before the last poll, so that nothing is missed.
        over = not workspace.run(name).path.is_dir() or is_over(read_run(workspace.run(name), name))
        while not over and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            yield poll()
