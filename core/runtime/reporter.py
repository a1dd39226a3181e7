"""Tells the world how a run goes: events as they come, and a small summary that lists are drawn from."""

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
from core.run.events import Eval, Event, EventWriter, Gates, Phase, Space, Step, StructureChosen, score_of
from core.run.rundir import RunDir, read_json, write_bytes, write_json

GATES_INTERVAL = 0.25  # seconds between two gate events: enough for the eye, little for the disk
SUMMARY_INTERVAL = 2.0  # seconds between two summaries
# Any other error on the first write means that the folder is not ours to write in.
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say in one line, with what to do, that a file of the run cannot be written; raises DiskError."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise DiskError(
            f"{path} could not be written ({reason})", "see to the disk and run it again: it goes on from a checkpoint"
        ) from error


class Reporter:
    """Writes the events of a run, and keeps its `summary.json` up to date.

    Where the run goes on (`resumed`), so does the summary. Raises RunDirError where the folder cannot be written to,
    and DiskError where that fails later.
    """

    def __init__(self, run: RunDir, about: dict[str, Any], resumed: bool = False) -> None:
        self._events, self._path = run.events, run.summary
        self._summary = (_previous(run.summary) if resumed else {}) | about | {"v": 1, "status": "running"}
        self._began = time.monotonic()
        self._last_gates = self._last_summary = -1e9
        try:
            with writing(run.events):
                self._writer = EventWriter(run.events)
            self.flush()
        except DiskError as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno in DISK_ERRORS:
                raise
            raise RunDirError(error.message, "is the folder yours, and the file system writable?") from None

    def event(self, event: Event, **summary: Any) -> None:
        """Write an event; what is given beside it goes into the summary."""
        with writing(self._events):
            self._writer.write(event)
        self._summary |= _told_by(event) | summary
        if isinstance(event, Phase) or time.monotonic() - self._last_summary > SUMMARY_INTERVAL:
            self.flush()

    def phase(self, event: Phase, step: int, best: float) -> None:
        """Write that a phase begins or goes on, after so many steps and with this score as its best so far."""
        known = {"best": best} if math.isfinite(best) else {}
        self.event(event, phase=event.phase, step=step, total=event.total, **known)

    def gates(self, step: int, p: list[float], order: list[int] | None = None) -> None:
        """Write the gate probabilities, unless that was done a moment ago."""
        if time.monotonic() - self._last_gates > GATES_INTERVAL:
            self.all_gates(step, p, order)

    def all_gates(self, step: int, p: list[float], order: list[int] | None = None) -> None:
        """Write the gate probabilities, and the order of the candidates where the structure does not go by p."""
        self._last_gates = time.monotonic()
        self.event(Gates(step, [round(value, 6) for value in p], order))

    def evaluation(self, event: Eval) -> None:
        """Write an evaluation; the summary keeps the last and the best score."""
        score = score_of(event.metrics)
        best = {"best": score} if event.best else {}
        self.event(event, score=score, **best)

    def flush(self) -> None:
        """Replace the summary."""
        self._last_summary = time.monotonic()
        with writing(self._path):
            write_json(self._path, self._summary | {"seconds": round(self.seconds, 3), "updated": time.time()})

    def result(self, path: Path, data: bytes) -> None:
        """Write a file of what came of the run; raises DiskError."""
        with writing(path):
            write_bytes(path, data)

    @property
    def seconds(self) -> float:
        """Seconds since this attempt began."""
        return time.monotonic() - self._began

    def close(self, last: Event, **summary: Any) -> None:
        """Write the last event and the last summary, this one also where the event does not fit on the disk."""
        self._summary |= summary
        try:
            self.event(last)
        finally:
            self.flush()
            self._writer.close()


class Mute(Reporter):
    """Tells nobody and writes nothing: for the processes that only compute their part of a run."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._last_gates = -1e9

    def event(self, event: Event, **summary: Any) -> None:
        """Nothing."""

    def result(self, path: Path, data: bytes) -> None:
        """Nothing."""

    def close(self, last: Event, **summary: Any) -> None:
        """Nothing."""


def _told_by(event: Event) -> dict[str, float]:
    """What a list shows of an event. `used` are the parameters that count against the budget, now."""
    told: dict[str, float | None] = {}
    if isinstance(event, Space):
        told = {"budget": event.budget}
    elif isinstance(event, StructureChosen):
        told = {"used": event.parameters}
    elif isinstance(event, Step):
        told = {"train_loss": event.train_loss, "validation_loss": event.validation_loss, "used": event.expected}
    return {name: value for name, value in told.items() if value is not None and math.isfinite(value)}


def _previous(path: Path) -> dict[str, Any]:
    """The summary that the attempt before left, but for its error; nothing where there is none or it is damaged."""
    with contextlib.suppress(RunDirError):
        summary = read_json(path)
        if isinstance(summary, dict):
            return {key: value for key, value in summary.items() if key != "error"}
    return {}
