"""Writes the event log of a run, a line of its `log.txt` for most events, and its summary, which lists of runs read."""

from __future__ import annotations

import contextlib
import errno
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.run.errors import DiskError, RunDirError
from core.run.events import (
    STEPPED,
    Eval,
    Event,
    EventWriter,
    Gates,
    Phase,
    Space,
    Step,
    StructureChosen,
    read_events,
    score_of,
)
from core.run.rundir import RunDir, read_json, write_bytes, write_json
from core.run.told import told
from core.runtime.log import log_line

GATES_INTERVAL = 0.25  # seconds between two gate events: enough for the eye, little for the disk
SUMMARY_INTERVAL = 2.0  # seconds between two summaries
# Any other error on the first write means that the folder is not ours to write in.
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError while a file of the run is written into a DiskError that names the file and what to do."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise DiskError(
            f"{path} could not be written ({reason})", "check the disk and run it again: it resumes from a checkpoint"
        ) from error


class Reporter:
    """Writes the events of a run, and keeps its `summary.json` up to date.

    Where the run goes on (`resumed`), its summary follows from the events so far: the file may be older than they are.
    Raises RunDirError where the folder cannot be written to, and DiskError where that fails later.
    """

    def __init__(self, run: RunDir, about: dict[str, Any], resumed: bool = False) -> None:
        self._events, self._path = run.events, run.summary
        self._summary = (_previous(run.summary) if resumed else {}) | about | {"v": 1, "status": "running"}
        self._began = time.monotonic()
        self._last_gates = self._last_summary = -1e9
        self._total: int | None = None  # steps of the phase
        try:
            with writing(run.events):
                self._writer = EventWriter(run.events)
            for event in read_events(run.events)[0] if resumed else []:
                self._summary |= _summary_fields(event)
            self.flush()
        except DiskError as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno in DISK_ERRORS:
                raise
            raise RunDirError(error.message, "is the folder yours, and the file system writable?") from None

    def event(self, event: Event, **summary: Any) -> None:
        """Write an event, and log it in words; the keyword arguments go into the summary."""
        with writing(self._events):
            self._writer.write(event)
        if isinstance(event, Phase):
            self._total = event.total
        if (line := told(event, self._total)) is not None:
            log_line(line)
        self._summary |= _summary_fields(event) | summary
        if isinstance(event, Phase) or time.monotonic() - self._last_summary > SUMMARY_INTERVAL:
            self.flush()

    def note(self, text: str) -> None:
        """Write a line into the log."""
        log_line(text)

    def phase(self, event: Phase, step: int, best: float) -> None:
        """Write that a phase begins or resumes after `step` steps, with `best` as its best score so far."""
        known = {"best": best} if math.isfinite(best) else {}
        self.event(event, phase=event.phase, step=step, total=event.total, **known)

    def gates(self, step: int, p: list[float], order: list[int] | None = None) -> None:
        """Write the gate probabilities, at most once every GATES_INTERVAL."""
        if time.monotonic() - self._last_gates > GATES_INTERVAL:
            self.all_gates(step, p, order)

    def all_gates(self, step: int, p: list[float], order: list[int] | None = None) -> None:
        """Write the gate probabilities, and the order of the candidates where the structure does not go by p."""
        self._last_gates = time.monotonic()
        self.event(Gates(step, [round(value, 6) for value in p], order))

    def flush(self) -> None:
        """Write the summary to disk."""
        self._last_summary = time.monotonic()
        with writing(self._path):
            write_json(self._path, self._summary | {"seconds": round(self.seconds, 3), "updated": time.time()})

    def result(self, path: Path, data: bytes) -> None:
        """Write a file of the run's results; raises DiskError."""
        with writing(path):
            write_bytes(path, data)

    @property
    def seconds(self) -> float:
        """Seconds since this attempt began."""
        return time.monotonic() - self._began

    def close(self, last: Event, **summary: Any) -> None:
        """Write the last event and the last summary; the summary even if writing the event fails."""
        self._summary |= summary
        try:
            self.event(last)
        finally:
            self.flush()
            self._writer.close()


class SilentReporter(Reporter):
    """Writes nothing: for the processes of a run that only compute their part of each batch."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._last_gates = -1e9

    def event(self, event: Event, **summary: Any) -> None:
        """Does nothing."""

    def note(self, text: str) -> None:
        """Does nothing."""

    def result(self, path: Path, data: bytes) -> None:
        """Does nothing."""

    def close(self, last: Event, **summary: Any) -> None:
        """Does nothing."""


def _summary_fields(event: Event) -> dict[str, float]:
    """The fields of the summary that an event changes; `used`: parameters that count against the budget."""
    changed: dict[str, float | None] = {}
    if isinstance(event, Space):
        changed = {"budget": event.budget}
    elif isinstance(event, StructureChosen):
        changed = {"used": event.parameters, "prunings_left": event.prunings_left}
    elif isinstance(event, Eval) and event.phase in STEPPED:
        score = score_of(event.metrics)
        changed = {"score": score, "best": score if event.best and event.split == "validation" else None}
    elif isinstance(event, Step):
        changed = {"train_loss": event.train_loss, "validation_loss": event.validation_loss, "used": event.expected}
    return {name: value for name, value in changed.items() if value is not None and math.isfinite(value)}


def _previous(path: Path) -> dict[str, Any]:
    """The summary of the previous attempt without its error; empty if there is none or it is damaged."""
    with contextlib.suppress(RunDirError):
        summary = read_json(path)
        if isinstance(summary, dict):
            return {key: value for key, value in summary.items() if key != "error"}
    return {}
