"""Measures how long each phase of a run took, over all attempts."""

from __future__ import annotations

import time
from collections.abc import Mapping


class Stopwatch:
    """Counts the seconds spent in each phase; `before` are those of earlier attempts, up to their last checkpoint.

    Work after the last checkpoint of an attempt is repeated, so its time is not counted.
    """

    def __init__(self, before: Mapping[str, float]) -> None:
        self._seconds = dict(before)
        self._phase, self._since = "load", time.monotonic()

    def enter(self, phase: str) -> None:
        """From now on count time for this phase."""
        self._seconds = self.seconds
        self._phase, self._since = phase, time.monotonic()

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds spent in each phase so far."""
        now = self._seconds.get(self._phase, 0.0) + time.monotonic() - self._since
        return self._seconds | {self._phase: now}
