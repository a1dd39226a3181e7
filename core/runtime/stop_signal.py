"""Handling of SIGTERM: the first ends a run at the next point from which it can resume, the second at once."""

from __future__ import annotations

import signal
from typing import Any

from core.run.errors import StoppedError


def stopped() -> StoppedError:
    """The error raised when the worker was asked to stop."""
    return StoppedError("stopped by a signal", "run it again: it resumes from its last checkpoint")


def at_limit(step: int, total: int) -> StoppedError:
    """The error raised when the worker has gone as far as the run may go for now."""
    return StoppedError(f"paused at step {step} of {total}", "its race decides whether it goes on")


class Stop:
    """Records whether SIGTERM asked the worker to stop.

    At first a signal ends the run immediately, as nothing is lost while a model is being loaded. After
    `wait_for_steps` it only sets a flag, which is checked after each step and between the batches of an evaluation.
    """

    def __init__(self) -> None:
        self.asked = False
        self._at_once = True

    def listen(self) -> None:
        """Install the handler of SIGTERM."""
        signal.signal(signal.SIGTERM, self._hear)

    def wait_for_steps(self) -> None:
        """From now on only set the flag when the signal comes."""
        self._at_once = False

    def check(self) -> None:
        """Raise StoppedError if the worker was asked to stop."""
        if self.asked:
            raise stopped()

    def _hear(self, number: int, frame: Any) -> None:
        # Restore the default action, so that a second signal ends the process even during a long step.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self.asked = True
        # A library may swallow what is raised here; then the check after the first step sees the flag.
        if self._at_once:
            self.check()
