"""How long a run took, phase by phase, over all of its attempts."""

from __future__ import annotations

import time
from collections.abc import Mapping


class Stopwatch:
    """Seconds in each phase; `before` is what earlier attempts took as far as their checkpoint.

    What an attempt did after its last checkpoint is lost with it, and so is the time that it took.
    """

    def __init__(self, before: Mapping[str, float]) -> None:
        self._seconds = dict(before)
        self._phase, self._since = "load", time.monotonic()

    def enter(self, phase: str) -> None:
        """The time from now on is of this phase."""
        self._seconds = self.seconds
        self._phase, self._since = phase, time.monotonic()

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by phase until now."""
        now = self._seconds.get(self._phase, 0.0) + time.monotonic() - self._since
        return self._seconds | {self._phase: now}
