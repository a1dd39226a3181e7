"""Puts the runs of a suite into its queue, for `s3tui run` and the app."""

from __future__ import annotations

import time
from collections.abc import Sequence

from core.run.given import is_given
from s3tui.notify.record import set_targets
from s3tui.runs.workspace import Workspace
from s3tui.suite.enter_races import check_whole, clear, enter
from s3tui.suite.launcher_checks import check_launchers, decided
from s3tui.suite.load import PlannedRun, Suite
from s3tui.suite.plan import Plan, enqueue, plan
from s3tui.system.file_locks import locked


def submit(suite: Suite, runs: Sequence[PlannedRun], fresh: bool, launcher: str | None = None) -> Plan:
    """Queue those of the runs that are not finished; with `fresh`, those whose settings changed are replaced.

    `launcher` comes before what the suite says of it. Raises RunDirError where the workspace is read-only, or where
    anything stands in the way, and SpecError for what a cluster refuses; then none is queued.
    """
    check_whole(suite, runs)
    runs = decided(runs, launcher)
    check_launchers(runs)
    workspace = Workspace(suite.workspace)
    workspace.make()
    # Concurrent submissions of one suite happen one after the other.
    with locked(workspace.submitting):
        todo, now = plan(suite, runs, fresh), time.time()
        races = [name for name, record in suite.races.items() if any(run.name in record.arms for run in runs)]
        set_targets(workspace, suite.name, suite.notify)  # before anything can start
        if fresh:
            clear(suite, races)
        # Runs that train the structure of another come last: they never take it from a run about to be replaced.
        for planned in sorted(todo.start, key=lambda planned: is_given(planned.spec)):
            anew = planned.name in todo.replaced
            enqueue(suite, planned, anew, now if fresh and anew else None)
        enter(suite, races)
    return todo
