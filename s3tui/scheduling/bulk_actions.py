"""Applies one action to many runs, and reports the outcome of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from s3tui.launchers.base import RefusedError
from s3tui.runs.workspace import FoundRun, Workspace

Action = Callable[[Workspace, FoundRun], str]


@dataclass
class Done:
    """What was done to one run, empty where it was refused."""

    name: str
    done: str
    refused: str = ""


def apply(workspace: Workspace, runs: Sequence[FoundRun], action: Action) -> list[Done]:
    """Apply an action to each run; one in the wrong state is refused, and the others go on."""
    outcome = []
    for run in runs:
        try:
            outcome.append(Done(run.name, action(workspace, run)))
        except RefusedError as error:
            outcome.append(Done(run.name, "", str(error)))
    return outcome
