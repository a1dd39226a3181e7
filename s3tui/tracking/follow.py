"""Mirrors one run into one tracker while it runs: `python -m s3tui.tracking.follow WORKSPACE RUN TRACKER`.

It only reads files, so that its failures never affect the run. If the tracker is not installed, fails or hangs, the
mirror ends with one line on stderr.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.run.errors import EXIT_FAILED, EXIT_OK, RunDirError, UsageError
from core.run.events import Event, EventReader, Finished
from core.run.rundir import RunDir, read_record_if_there, write_json
from s3tui.runs.records.settings import read_spec
from s3tui.runs.status import Quiet, Running
from s3tui.runs.workspace import Workspace, read_run
from s3tui.system.file_locks import try_lock
from s3tui.text.sanitize import clean
from s3tui.tracking.registry import TRACKERS, About, Tracker, open_tracker
from s3tui.tracking.scalars import GATES, STRUCTURE, EventRecords, Histogram, Record, Scalars

POLL_SECONDS = 2.0
CHUNK_BYTES = 2**20  # read at a time, so that a long history is sent in portions
PATIENCE_SECONDS = 120.0  # a call of a tracker that takes longer counts as hanging
LOCK_SECONDS = 10.0  # to wait for the mirror of the previous attempt to end
NICENESS = 10  # lower priority than the search


@dataclass(frozen=True)
class _Place:
    """How far a tracker has received the events of a run, and its identifier of the run."""

    known_as: str
    seq: int


class Mirror:
    """Mirrors one run into one tracker; `alive` is called after every call of the tracker."""

    def __init__(self, workspace: Workspace, name: str, tracker: str, alive: Callable[[], None]) -> None:
        self._run, self._name, self._kind, self._alive = workspace.run(name), name, tracker, alive
        self._store = workspace.path
        self._place = self._run.mirror / f"{tracker}.json"
        place = read_record_if_there(self._place, _Place) or _Place("", -1)
        self._known_as, self._seq = place.known_as, place.seq
        self._reader, self._records = EventReader(self._run.events), EventRecords()
        self._tracker: Tracker | None = None
        self._ok = False

    def follow(self) -> None:
        """Send existing and new events until no process works on the run any more."""
        folder = self._run.path.stat().st_ino
        over = False
        while not over:
            # Checked before the files are read, so that nothing written meanwhile is missed.
            over = not _is_worked_on(self._run, self._name)
            self._send_all()
            deadline = time.monotonic() + (0 if over else POLL_SECONDS)
            while time.monotonic() < deadline:
                time.sleep(0.1)
                self._alive()
            # The run may have been replaced by another one of the same name.
            over = over or not self._run.path.is_dir() or self._run.path.stat().st_ino != folder
        if self._tracker is not None:
            self._tracker.close(self._ok)

    def _send_all(self) -> None:
        behind = True
        while behind:
            events = self._reader.poll(CHUNK_BYTES)
            behind = self._reader.is_behind
            for event in events:
                self._take(event)
            if events and self._tracker is not None:
                self._tracker.flush()
                write_json(self._place, {"v": 1, "known_as": self._tracker.known_as, "seq": self._seq})
            self._alive()

    def _take(self, event: Event) -> None:
        """Process an event; its records are sent unless they were sent before."""
        self._ok = isinstance(event, Finished)
        for record in self._records.of(event):
            if event.seq > self._seq:
                self._send(record, event.t)
        self._seq = max(self._seq, event.seq)

    def _send(self, record: Record, t: float) -> None:
        if self._tracker is None:
            self._tracker = open_tracker(self._kind, self._about())
        if isinstance(record, Scalars):
            self._tracker.scalars(record.values, record.step, t)
        elif isinstance(record, Histogram):
            self._tracker.histogram(GATES, record.values, record.step, t)
        elif (png := _drawn(record.structure)) is not None:
            self._tracker.picture(STRUCTURE, png, record.step, t)

    def _about(self) -> About:
        project, _, name = self._name.partition("/")
        folder = self._run.mirror / self._kind
        folder.mkdir(exist_ok=True)
        return About(folder, self._store, project, name or project, _flat(read_spec(self._run)), self._known_as)


def _is_worked_on(run: RunDir, name: str) -> bool:
    return isinstance(read_run(run, name).status, (Running, Quiet))


def _drawn(structure: Any) -> bytes | None:
    """The heat map as PNG; None if matplotlib is not installed."""
    from s3tui.plot import matplotlib_figures
    from s3tui.structures.load import heatmap

    try:
        return matplotlib_figures.rendered(
            matplotlib_figures.figure_of(lambda: matplotlib_figures.structure(heatmap([structure]))), "png"
        )
    except UsageError:
        return None


def _flat(settings: Any, prefix: str = "") -> dict[str, Any]:
    """Flatten nested settings to keys such as `search.max_steps`; lists become text."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = str(value) if isinstance(value, list) else value
    return flat


def mirror(workspace: Workspace, name: str, tracker: str, patience: float, say: Callable[[str], None]) -> int:
    """Mirror a run until it ends; returns 0, or another exit code if the tracker failed. Raises no exception."""
    fed = [time.monotonic()]

    def leave_out(why: str) -> int:
        say(f"{tracker} is left out: {why}; `s3tui mirror {name} --to {tracker}` sends what is missing")
        return EXIT_FAILED

    def watch() -> None:
        while time.monotonic() - fed[0] < patience:
            time.sleep(patience / 20)
        leave_out(f"it has not responded for {patience:g} seconds")
        os._exit(EXIT_FAILED)

    threading.Thread(target=watch, daemon=True).start()
    try:
        folder = workspace.run(name).mirror
        folder.mkdir(exist_ok=True)
        if try_lock(folder / f"{tracker}.lock", LOCK_SECONDS) is None:
            return leave_out("another process mirrors this run into it already")
        Mirror(workspace, name, tracker, lambda: fed.__setitem__(0, time.monotonic())).follow()
    except ModuleNotFoundError as error:
        how = f", pip install 's3tui[{tracker}]'" if tracker in TRACKERS.own else ""
        return leave_out(f"{error.name} is not installed{how}")
    except Exception as error:
        return leave_out(_in_a_line(error))
    return EXIT_OK


def _in_a_line(error: Exception) -> str:
    text = str(error) if isinstance(error, RunDirError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())[:500]


def main(arguments: list[str]) -> None:
    """Mirror the run that the arguments name, and exit even if the tracker has left threads running."""
    path, name, tracker = arguments
    os.nice(NICENESS)
    workspace = Workspace(Path(path))
    narration = os.dup(2)
    # Trackers print a lot, which does not belong into the log of the run.
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(silence, stream)
    code = mirror(workspace, name, tracker, PATIENCE_SECONDS, lambda text: _say(narration, text))
    os._exit(code)


def _say(handle: int, text: str) -> None:
    os.write(handle, f"s3tui mirror: {clean(text)}\n".encode())


if __name__ == "__main__":
    main(sys.argv[1:])
