"""When a run is saved: every so many steps, at the end of a phase, and where it is asked to stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from core.run.events import Checkpoint
from core.runtime import process_group
from core.runtime.checkpoint import Checkpoints, Snapshot
from core.runtime.log import tell
from core.runtime.reporter import Reporter
from core.runtime.stop_signal import Stop, stopped
from core.runtime.stopwatch import Stopwatch


class Keeper:
    """Writes the checkpoints of an attempt, and ends it at one where it is asked to stop.

    `resumed` is what the attempt goes on from, None where it starts afresh. Of several processes, the first one writes
    and the others only keep step.
    """

    def __init__(
        self, checkpoints: Checkpoints, resumed: Snapshot | None, every: int, stop: Stop, reporter: Reporter
    ) -> None:
        self.resumed = resumed
        self.stop = stop
        self.stopwatch = Stopwatch(resumed.seconds if resumed else {})
        self._checkpoints, self._every, self._reporter = checkpoints, every, reporter
        # The beginning needs no checkpoint.
        self._last = (resumed.phase, resumed.step) if resumed else ("search", 0)

    def take(self, phase: str) -> Snapshot | None:
        """What a phase goes on from, None where it starts afresh; given once, so that its memory is free afterwards."""
        if self.resumed is None or self.resumed.phase != phase:
            return None
        snapshot, self.resumed = self.resumed, None
        return snapshot

    def boundary(self, phase: str, step: int, snapshot: Callable[[], Snapshot], at_edge: bool = False) -> None:
        """After a step: save the run where that is due; raises StoppedError where it was asked to stop.

        `at_edge` says that the phase begins or ends here.
        """
        due = (at_edge or step % self._every == 0) and (phase, step) != self._last
        stopping = process_group.agreed(self.stop.asked)
        if due or stopping:
            self._save(snapshot())
        if stopping:
            raise stopped()

    def check(self) -> None:
        """Raise StoppedError where the run was asked to stop; all of its processes hear it."""
        if process_group.agreed(self.stop.asked):
            raise stopped()

    def _save(self, snapshot: Snapshot) -> None:
        phase, step = snapshot.phase, snapshot.step
        if process_group.rank():
            self._last = phase, step
            return
        try:
            self._checkpoints.save(replace(snapshot, seconds=self.stopwatch.seconds))
        except OSError as error:
            # The one before is still there, and the next may succeed.
            tell(f"the checkpoint after step {step} of {phase} could not be written, the run goes on: {error}")
            return
        self._last = phase, step
        self._reporter.event(Checkpoint(phase, step))
