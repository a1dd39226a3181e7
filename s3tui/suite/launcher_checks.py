"""Decides on the launcher of each run, and asks it what it would refuse before anything is queued."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from core.run.errors import SpecError, UsageError, nearest
from s3tui.launchers.registry import available, kinds, launcher_named, settings_of
from s3tui.runs.records.launch import AUTO, LOCAL, Launch
from s3tui.suite.load import PlannedRun


def decided(runs: Sequence[PlannedRun], chosen: str | None) -> tuple[PlannedRun, ...]:
    """The runs with the launcher that they will have; `chosen` comes before what their file says."""
    if chosen is not None and chosen not in kinds():
        raise UsageError(f"there is no launcher called {chosen!r}", nearest(chosen, kinds()))
    wanted = {chosen or run.queue.launch.kind for run in runs}
    automatic = available() if AUTO in wanted else LOCAL
    return tuple(replace(run, queue=replace(run.queue, launch=_decided(run, chosen, automatic))) for run in runs)


def _decided(run: PlannedRun, chosen: str | None, automatic: str) -> Launch:
    launch = run.queue.launch
    kind = chosen or launch.kind
    kind = automatic if kind == AUTO else kind
    # Options are those of the launcher that the file names; another one does not understand them.
    same = kind == LOCAL or settings_of(launch.kind).name == kind
    return Launch(kind, launch.options if same else {})


def check_launchers(runs: Iterable[PlannedRun]) -> None:
    """Raise SpecError with all that launchers refuse of what the runs ask for."""
    launches: dict[str, list[Launch]] = {}
    for run in runs:
        known = launches.setdefault(run.queue.launch.kind, [])
        if run.queue.launch not in known:
            known.append(run.queue.launch)
    problems: dict[str, None] = {}
    for name, group in launches.items():
        launcher = launcher_named(name)
        if problem := launcher.unavailable():
            raise SpecError(f"launcher: {problem}", "--launcher local runs on this machine")
        problems |= dict.fromkeys(launcher.refusals([launch.options for launch in group]))
    if problems:
        raise SpecError("\n".join(problems))
