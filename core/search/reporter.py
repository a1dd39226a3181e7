"""Tells the world how a run goes: events as they come, and a small summary that lists are drawn from."""

from __future__ import annotations

import time
from typing import Any

from core.run.events import Eval, Event, EventWriter, Gates
from core.run.rundir import RunDir, write_json

GATES_INTERVAL = 0.25  # seconds between two gate events: enough for the eye, little for the disk
SUMMARY_INTERVAL = 2.0  # seconds between two summaries


class Reporter:
    """Writes the events of a run, and keeps its `summary.json` up to date."""

    def __init__(self, run: RunDir, about: dict[str, Any]) -> None:
        self._writer = EventWriter(run.events)
        self._path = run.summary
        self._summary = {"v": 1, "status": "running"} | about
        self._began = time.monotonic()
        self._last_gates = self._last_summary = -1e9

    def event(self, event: Event, **summary: Any) -> None:
        """Write an event; what is given beside it goes into the summary."""
        self._writer.write(event)
        self._summary |= summary
        if time.monotonic() - self._last_summary > SUMMARY_INTERVAL:
            self.flush()

    def gates(self, step: int, p: list[float]) -> None:
        """Write the gate probabilities, unless that was done a moment ago."""
        if time.monotonic() - self._last_gates > GATES_INTERVAL:
            self.all_gates(step, p)

    def all_gates(self, step: int, p: list[float]) -> None:
        """Write the gate probabilities."""
        self._last_gates = time.monotonic()
        self.event(Gates(step, [round(value, 6) for value in p]))

    def evaluation(self, event: Eval) -> None:
        """Write an evaluation; the summary keeps the last and the best score."""
        score = next(iter(event.metrics.values()))
        best = {"best": score} if event.best else {}
        self.event(event, score=score, **best)

    def flush(self) -> None:
        """Replace the summary."""
        self._last_summary = time.monotonic()
        write_json(self._path, self._summary | {"seconds": round(self.seconds, 3), "updated": time.time()})

    @property
    def seconds(self) -> float:
        """Seconds since this attempt began."""
        return time.monotonic() - self._began

    def close(self, last: Event, **summary: Any) -> None:
        """Write the last event and the last summary."""
        self.event(last, **summary)
        self.flush()
        self._writer.close()
