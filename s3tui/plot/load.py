"""Loads the runs to plot: settings, structure, history, result."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from core.run.errors import RunDirError
from core.run.events import Data, Started, read_events
from core.run.structure import Structure, read_structure
from s3tui.results.summary import without_seed
from s3tui.runs.history import History, HistoryView
from s3tui.runs.records.settings import task_of
from s3tui.runs.workspace import FoundRun, Workspace, read_run


@dataclass(frozen=True)
class Drawn:
    """A run to plot; `structure` is None before one is chosen. `run.name` is the name in the workspace.

    `versions` are those of the packages that the last attempt worked with, and `data` its rows, None if it did
    not report them. `left_out` says which file cannot be read
    and is not drawn, empty where there is none.
    """

    run: FoundRun
    history: HistoryView
    structure: Structure | None
    versions: Mapping[str, str] = field(default_factory=dict)
    left_out: str = ""
    data: Data | None = None

    @property
    def name(self) -> str:
        """The run's name without its suite."""
        return self.run.name.partition("/")[2] or self.run.name

    @property
    def group(self) -> str:
        """The common name of runs that differ only in the seed."""
        return without_seed(self.name)

    @property
    def method(self) -> str:
        """The method."""
        method: str = self.run.spec.get("method", "")
        return method

    @property
    def task(self) -> str:
        """The name of its task, or of its data file, short enough for a label."""
        return task_of(self.run.spec, short=True)


def read_all(workspace: Workspace, names: Iterable[str]) -> list[Drawn]:
    """Load runs of a workspace with their histories."""
    return [read_drawn(read_run(workspace.run(name), name)) for name in names]


def read_drawn(run: FoundRun) -> Drawn:
    """Load a run with its history."""
    history = History()
    events, skipped = read_events(run.directory.events)
    for event in events:
        history.add(event)
    versions = next((e.versions for e in reversed(events) if isinstance(e, Started)), {})
    data = next((e for e in reversed(events) if isinstance(e, Data)), None)
    structure, left_out = _structure(run)
    return Drawn(run, history.view(skipped), structure, versions, left_out, data)


def _structure(run: FoundRun) -> tuple[Structure | None, str]:
    """The chosen structure, None if there is none or it is damaged; and what is wrong with a damaged file."""
    if not os.path.lexists(run.directory.structure):
        return None, ""
    try:
        return read_structure(run.directory.structure), ""
    except RunDirError as error:
        return None, f"{run.name}: its structure is left out: {error}"


def groups_of(runs: Sequence[Drawn]) -> dict[str, list[Drawn]]:
    """Group runs that differ only in the seed, in the given order."""
    groups: dict[str, list[Drawn]] = {}
    for run in runs:
        groups.setdefault(run.group, []).append(run)
    return groups
