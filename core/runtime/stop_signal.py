"""SIGTERM: a run ends at the next place from which it can be resumed; a second one ends it at once."""

from __future__ import annotations

import signal
from typing import Any

from core.run.errors import StoppedError


def stopped() -> StoppedError:
    """That the worker was asked to stop, as an error."""
    return StoppedError("stopped by a signal", "run it again: it goes on from its last checkpoint")


class Stop:
    """Whether the worker was asked to stop.

    At first a signal ends the run where it is, as nothing is lost while a model is being loaded. From `wait_for_steps`
    on it is only noted, and who trains looks: after each step, and between the batches of an evaluation.
    """

    def __init__(self) -> None:
        self.asked = False
        self._at_once = True

    def listen(self) -> None:
        """Take SIGTERM as the question."""
        signal.signal(signal.SIGTERM, self._hear)

    def wait_for_steps(self) -> None:
        """From now on only note the signal."""
        self._at_once = False

    def check(self) -> None:
        """Raise StoppedError where the worker was asked to stop."""
        if self.asked:
            raise stopped()

    def _hear(self, number: int, frame: Any) -> None:
        # The kernel does it the next time, however long the step takes that is under way.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self.asked = True
        # A library may swallow what is raised here; then the first step will see it.
        if self._at_once:
            self.check()
