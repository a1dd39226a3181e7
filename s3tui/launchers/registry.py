"""The launchers by name: those of this package and those that other packages bring by entry points."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby

from core.run.errors import SpecError, nearest
from core.run.plugins import Registry
from s3tui.launchers.base import Launcher, RefusedError
from s3tui.runs.records.launch import AUTO, LOCAL
from s3tui.runs.workspace import FoundRun, Workspace, find_runs, read_run

MakeLauncher = Callable[[], Launcher]


def _own(module: str, name: str) -> MakeLauncher:
    """A launcher of this package, imported only where it is used."""

    def make() -> Launcher:
        made: Launcher = getattr(importlib.import_module(f"s3tui.launchers.{module}"), name)()
        return made

    return make


# What makes a launcher, as its class does. A package brings such a thing as an entry point of "s3tui.launchers".
LAUNCHERS: Registry[MakeLauncher] = Registry(
    "launchers", Callable, {LOCAL: _own("local", "Local"), "slurm": _own("slurm.launcher", "Slurm")}
)
# "auto" is the first of these that is available; a launcher of another package is chosen by its name.
AUTOMATIC = ("slurm", LOCAL)


@functools.cache
def launcher_named(name: str) -> Launcher:
    """A launcher; raises SpecError where there is none of this name or its package fails."""
    if name not in LAUNCHERS:
        raise SpecError(f"there is no launcher called {name!r}", nearest(name, kinds()))
    return LAUNCHERS[name]()


def kinds() -> list[str]:
    """The values of `kind`."""
    return [*LAUNCHERS, AUTO]


def available() -> str:
    """What "auto" stands for on this machine now."""
    return next((name for name in AUTOMATIC if not launcher_named(name).unavailable()), LOCAL)


def settings_of(kind: str) -> Launcher:
    """The launcher whose settings a table of this kind has; a table may prepare for a cluster and stay local."""
    return launcher_named(AUTOMATIC[0] if kind in (AUTO, LOCAL) else kind)


def name_of_launcher(run: FoundRun) -> str:
    """Which launcher a run is with: that of its living job, or this machine."""
    return run.job.launcher if run.job is not None and run.job.lives else LOCAL


def launcher_of(run: FoundRun) -> Launcher:
    """The same itself; raises RefusedError where it is not installed any more."""
    try:
        return launcher_named(name_of_launcher(run))
    except SpecError as error:
        raise RefusedError(f"{run.name}: {error}") from None


def by_launcher(runs: Iterable[FoundRun]) -> Iterator[tuple[Launcher, list[FoundRun]]]:
    """Runs by the launcher that they are with; those of one that is not installed any more are left out."""
    for name, group in groupby(sorted(runs, key=name_of_launcher), name_of_launcher):
        try:
            yield launcher_named(name), list(group)
        except SpecError:
            continue


def refresh(workspace: Workspace, runs: Sequence[FoundRun]) -> set[str]:
    """Bring the records of runs up to date where there is no dispatcher; the names of those that have changed."""
    changed: set[str] = set()
    for launcher, group in by_launcher(runs):
        changed |= launcher.refresh(workspace, group)
    return changed


def find_fresh(workspace: Workspace) -> list[FoundRun]:
    """Every run of a workspace, by name. Without a dispatcher, launchers are asked how their jobs are."""
    found = find_runs(workspace.path)
    living = [run for run in found if run.job is not None and run.job.lives]
    if not living or workspace.dispatcher() is not None:
        return found
    changed = refresh(workspace, living)
    return [read_run(run.directory, run.name) if run.name in changed else run for run in found]
