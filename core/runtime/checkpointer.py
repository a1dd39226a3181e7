"""When checkpoints are written: every so many steps, at the end of a phase, and when the run is asked to stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from core.run.events import Checkpoint
from core.runtime import process_group
from core.runtime.checkpoint import Checkpoints, Snapshot
from core.runtime.log import log_line
from core.runtime.reporter import Reporter
from core.runtime.stop_signal import Stop, stopped
from core.runtime.stopwatch import Stopwatch


class Checkpointer:
    """Writes the checkpoints of an attempt, and ends the attempt after writing one if it is asked to stop.

    `resumed` is the checkpoint from which the attempt resumes, None if it starts from the beginning. Of several
    processes, rank 0 writes.
    """

    def __init__(
        self, checkpoints: Checkpoints, resumed: Snapshot | None, every: int, stop: Stop, reporter: Reporter
    ) -> None:
        self.resumed = resumed
        self.stop = stop
        self.stopwatch = Stopwatch(resumed.seconds if resumed else {})
        self._checkpoints, self._every, self._reporter = checkpoints, every, reporter
        # Nothing is lost before the first step.
        self._last = (resumed.phase, resumed.step) if resumed else ("search", 0)

    def take(self, phase: str) -> Snapshot | None:
        """The checkpoint of this phase to resume from, or None; returned once, so that its memory can be freed."""
        if self.resumed is None or self.resumed.phase != phase:
            return None
        snapshot, self.resumed = self.resumed, None
        return snapshot

    def boundary(self, phase: str, step: int, snapshot: Callable[[], Snapshot], at_edge: bool = False) -> None:
        """After a step: write a checkpoint if one is due; raises StoppedError if the run was asked to stop.

        `at_edge` says that the phase begins or ends here.
        """
        due = (at_edge or step % self._every == 0) and (phase, step) != self._last
        stopping = process_group.agreed(self.stop.asked)
        if due or stopping:
            self._save(snapshot())
        if stopping:
            raise stopped()

    def check(self) -> None:
        """Raise StoppedError, in all processes, if the run was asked to stop."""
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
            # The previous checkpoint is still there, and the next one may succeed.
            log_line(f"the checkpoint after step {step} of {phase} could not be written, the run continues: {error}")
            return
        self._last = phase, step
        self._reporter.event(Checkpoint(phase, step))
