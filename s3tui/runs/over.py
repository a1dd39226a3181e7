"""Whether a run has ended for good, or rests in a race."""

from __future__ import annotations

from s3tui.runs.status import Cancelled, Damaged, Done, Paused, Queued, Quiet, Running
from s3tui.runs.workspace import FoundRun


def is_over(run: FoundRun) -> bool:
    """Whether a run has ended and will not continue by itself."""
    if isinstance(run.status, (Done, Cancelled, Damaged)):
        return True
    if isinstance(run.status, (Queued, Running, Quiet)):
        return False
    return run.queue is None or run.queue.wanted != "queued"  # if queued, the dispatcher will retry or settle it


def rests(run: FoundRun) -> bool:
    """Whether a run is an arm of a race that waits at a rung or was dropped there, which is no failure."""
    return isinstance(run.status, Paused) and run.directory.limit.exists()
