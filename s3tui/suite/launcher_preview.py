"""What a suite would submit to a cluster, as texts to read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from s3tui.launchers.registry import launcher_named
from s3tui.runs.workspace import Workspace
from s3tui.suite.load import PlannedRun, Suite


def previews(suite: Suite, runs: Sequence[PlannedRun]) -> Iterator[str]:
    """The texts of each launcher, with the runs that they are for."""
    workspace = Workspace(suite.workspace)
    for name in dict.fromkeys(run.queue.launch.kind for run in runs):
        group = [replace(run, name=f"{suite.name}/{run.name}") for run in runs if run.queue.launch.kind == name]
        yield from launcher_named(name).preview(workspace, group)
