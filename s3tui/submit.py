"""Puts the runs of a suite into its queue: `s3tui run` and the app do so by the same code."""

from __future__ import annotations

from collections.abc import Sequence

from s3tui.config import PlannedRun, Suite
from s3tui.locks import locked
from s3tui.plan import Plan, enqueue, plan
from s3tui.slurm.checks import check_cluster, decided
from s3tui.slurm.settings import Kind
from s3tui.workspace import Workspace


def submit(suite: Suite, runs: Sequence[PlannedRun], fresh: bool, launcher: Kind | None = None) -> Plan:
    """Queue those of the runs that are not finished, or with `fresh` all of them anew, without what they had.

    `launcher` comes before what the suite says of it. Raises RunDirError where the workspace is read-only, or where
    anything stands in the way, and SpecError for what a cluster refuses; then none is queued.
    """
    runs = decided(runs, launcher)
    check_cluster(runs)
    workspace = Workspace(suite.workspace)
    workspace.make()
    # Two who submit the same suite at the same instant do so one after the other.
    with locked(workspace.submitting):
        todo = plan(suite, runs, fresh)
        # What waits for the structure of another run comes last, so that none of a run that is replaced is taken.
        for planned in sorted(todo.start, key=lambda planned: planned.spec.method == "given"):
            enqueue(suite, planned, fresh)
    return todo
