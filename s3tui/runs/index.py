"""An index of all runs of a workspace with their status, updated incrementally."""

from __future__ import annotations

import stat
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from s3tui.runs.gather import lives
from s3tui.runs.records.process import Process
from s3tui.runs.status import Done, Quiet, Running
from s3tui.runs.workspace import FoundRun, Workspace, read_run

ALL_SECONDS = 30.0  # between two checks of every run's folder, for changes that the journal has missed
RACY_SECONDS = 2.0  # resolution of time stamps of file systems and NFS
LIVE_SECONDS = 5.0  # between two reads of a live run, to see whether it is quiet; its end is noticed at once


class Board:
    """Reads all runs once; later only those named in the journal, and live ones.

    `unfinished` are the `runs` that are not done: few of many, so what is asked of them often costs little.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.runs: dict[str, FoundRun] = {}
        self.unfinished: dict[str, FoundRun] = {}
        self._offset = 0
        self._all_at = self._live_at = float("-inf")
        self._tables: dict[str, dict[str, Any]] = {}
        self._stamps: dict[str, int] = {}  # when the folder of each run was last changed

    def refresh(self) -> set[str]:
        """Update; returns the names of the runs that may have changed."""
        now = time.monotonic()
        names = self._changed_in_journal()
        if names is None or now - self._all_at >= ALL_SECONDS:
            self._all_at = now
            return self._read_all()
        look_at_all_live = now - self._live_at >= LIVE_SECONDS
        if look_at_all_live:
            self._live_at = now
        for name, run in self.unfinished.items():
            if isinstance(run.status, (Running, Quiet)) and (look_at_all_live or _has_moved(run)):
                names.add(name)
        for name in names:
            self.read(name)
        return names

    def read(self, name: str) -> FoundRun | None:
        """Read one run again; None if it no longer exists."""
        directory = self.workspace.run(name)
        # Taken before its files are read, so that a change during reading is noticed the next time.
        stamp = _stamp(directory.path)
        if stamp is None:
            self._forget(name)
            return None
        self._stamps[name] = stamp
        found = read_run(directory, name)
        if not isinstance(found.status, (Running, Quiet)):  # one that lives is soon read again
            found = self._shared(found)
        self.runs[name] = found
        if isinstance(found.status, Done):
            self.unfinished.pop(name, None)
        else:
            self.unfinished[name] = found
        return found

    def _shared(self, run: FoundRun) -> FoundRun:
        """The run with the tables of its settings that another one has, too: all of a suite have most in common."""
        spec = {
            # Written out, 1, 1.0 and true differ.
            key: self._tables.setdefault(repr(value), value) if isinstance(value, dict) else value
            for key, value in run.spec.items()
        }
        return replace(run, spec=spec)

    def _forget(self, name: str) -> None:
        self.runs.pop(name, None)
        self.unfinished.pop(name, None)

    def _is_unchanged(self, run: FoundRun) -> bool:
        if isinstance(run.status, (Running, Quiet)):
            return False
        stamp = _stamp(run.directory.path)
        return stamp == self._stamps.get(run.name) and stamp != 0

    def _read_all(self) -> set[str]:
        """Read live runs, and every run whose folder has changed: a file was created, replaced or deleted."""
        unchanged = {name for name, run in self.runs.items() if self._is_unchanged(run)}
        names = set(self.workspace.names(unchanged))
        gone = self.runs.keys() - names
        for name in gone:
            self._forget(name)
        changed = names - unchanged
        for name in sorted(changed):
            self.read(name)
        return changed | gone

    def _changed_in_journal(self) -> set[str] | None:
        """The runs noted in the journal since the last time; None if the journal was restarted."""
        try:
            with self.workspace.queue.journal.open("rb") as file:
                size = file.seek(0, 2)
                if size < self._offset:
                    self._offset = size
                    return None
                file.seek(self._offset)
                data = file.read(size - self._offset)
        except FileNotFoundError:
            return set()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return {name for name in whole.decode(errors="surrogateescape").split("\n") if _is_inside(name)}


def _stamp(path: Path) -> int | None:
    """When a file of a folder was last created, replaced or deleted, in ns; None if there is no folder.

    0 if that was a moment ago, as another change could have the same time stamp.
    """
    try:
        found = path.stat()
    except OSError:
        return None
    if not stat.S_ISDIR(found.st_mode):
        return None
    return 0 if time.time_ns() - found.st_mtime_ns < RACY_SECONDS * 1e9 else found.st_mtime_ns


def _is_inside(name: str) -> bool:
    """Whether a name in the journal is that of a run of this workspace."""
    return bool(name) and not Path(name).is_absolute() and ".." not in Path(name).parts


def _has_moved(run: FoundRun) -> bool:
    """Whether a live run has started or ended since, judged cheaply from its processes alone.

    The processes of a job cannot be seen from here; its end is found by its launcher or at the next full check.
    """
    process: Process | None = getattr(run.status, "process", None)
    return run.job is None and (process is None or not lives(process))
