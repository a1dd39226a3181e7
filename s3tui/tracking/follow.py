"""Mirrors one attempt at a run into one tracker: `python -m s3tui.tracking.follow WORKSPACE RUN TRACKER`.

It reads files alone, so that nothing which happens to it reaches the run. A tracker that is not installed, fails or
hangs is left out, which one line on stderr says.
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
from s3tui.tracking.scalars import GATES, STRUCTURE, Histogram, Record, Scalars, Telling

POLL_SECONDS = 2.0
CHUNK_BYTES = 2**20  # read at a time, so that a long history is told in portions
PATIENCE_SECONDS = 120.0  # a tracker that does not come back for so long hangs
LOCK_SECONDS = 10.0  # whoever mirrored the attempt before may still be about to end
NICENESS = 10  # the search comes first


@dataclass(frozen=True)
class _Place:
    """How far a tracker was told, and what it calls the run."""

    known_as: str
    seq: int


class Mirror:
    """One run on its way into one tracker; `alive` is called whenever the tracker has come back."""

    def __init__(self, workspace: Workspace, name: str, tracker: str, alive: Callable[[], None]) -> None:
        self._run, self._name, self._kind, self._alive = workspace.run(name), name, tracker, alive
        self._store = workspace.path
        self._place = self._run.mirror / f"{tracker}.json"
        told = read_record_if_there(self._place, _Place) or _Place("", -1)
        self._known_as, self._seq = told.known_as, told.seq
        self._reader, self._telling = EventReader(self._run.events), Telling()
        self._tracker: Tracker | None = None
        self._ok = False

    def follow(self) -> None:
        """Tell what is there and what comes, until nobody works on the run any more."""
        folder = self._run.path.stat().st_ino
        over = False
        while not over:
            # Looked at before the files, so that nothing is missed which was written meanwhile.
            over = not _is_worked_on(self._run, self._name)
            self._tell_all()
            deadline = time.monotonic() + (0 if over else POLL_SECONDS)
            while time.monotonic() < deadline:
                time.sleep(0.1)
                self._alive()
            # A run that was replaced by another of its name is not ours.
            over = over or not self._run.path.is_dir() or self._run.path.stat().st_ino != folder
        if self._tracker is not None:
            self._tracker.close(self._ok)

    def _tell_all(self) -> None:
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
        """What was told before is taken in, but not told again."""
        self._ok = isinstance(event, Finished)
        for record in self._telling.of(event):
            if event.seq > self._seq:
                self._tell(record, event.t)
        self._seq = max(self._seq, event.seq)

    def _tell(self, record: Record, t: float) -> None:
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
    """The heat map; None where matplotlib is not there to draw it."""
    from s3tui.plot import matplotlib_figures
    from s3tui.structures.load import heatmap

    try:
        return matplotlib_figures.rendered(
            matplotlib_figures.figure_of(lambda: matplotlib_figures.structure(heatmap([structure]))), "png"
        )
    except UsageError:
        return None


def _flat(settings: Any, prefix: str = "") -> dict[str, Any]:
    """Nested settings as one level, `search.max_steps`; lists as text."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = str(value) if isinstance(value, list) else value
    return flat


def mirror(workspace: Workspace, name: str, tracker: str, patience: float, say: Callable[[str], None]) -> int:
    """Mirror a run until it is over; the exit code tells whether the tracker was left out. It does not raise."""
    fed = [time.monotonic()]

    def leave_out(why: str) -> int:
        say(f"{tracker} is left out: {why}; `s3tui mirror {name} --to {tracker}` tells it what is missing")
        return EXIT_FAILED

    def watch() -> None:
        while time.monotonic() - fed[0] < patience:
            time.sleep(patience / 20)
        leave_out(f"it has not come back for {patience:g} seconds")
        os._exit(EXIT_FAILED)

    threading.Thread(target=watch, daemon=True).start()
    try:
        folder = workspace.run(name).mirror
        folder.mkdir(exist_ok=True)
        if try_lock(folder / f"{tracker}.lock", LOCK_SECONDS) is None:
            return leave_out("another process tells it of this run already")
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
    """Mirror the run that the arguments name, and end whatever threads the tracker has left."""
    path, name, tracker = arguments
    os.nice(NICENESS)
    workspace = Workspace(Path(path))
    narration = os.dup(2)
    # Trackers are talkative, and a log that others read is no place for it.
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(silence, stream)
    code = mirror(workspace, name, tracker, PATIENCE_SECONDS, lambda text: _say(narration, text))
    os._exit(code)


def _say(handle: int, text: str) -> None:
    os.write(handle, f"s3tui mirror: {clean(text)}\n".encode())


if __name__ == "__main__":
    main(sys.argv[1:])
