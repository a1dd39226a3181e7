"""Decides for each run of a suite whether to start it, skip it as finished, or refuse."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from core.run.errors import RunDirError, S3Error, UsageError, nearest
from core.run.given import awaited, is_given
from core.run.rundir import RunDir, read_json
from core.run.spec import RunSpec
from s3tui.runs.records.queue import Queue, queued
from s3tui.runs.records.result import read_result
from s3tui.runs.status import Damaged, Queued, Quiet, Running
from s3tui.runs.workspace import FoundRun, Workspace, read_run
from s3tui.scheduling.control import is_worked_on, remove
from s3tui.structures.run_reference import comparable
from s3tui.suite.enter_races import limit, resting
from s3tui.suite.load import PlannedRun, Suite
from s3tui.system.file_locks import is_locked

FRESH = "--fresh replaces it"


@dataclass(frozen=True)
class Plan:
    """The runs to start, in order, those that are finished already, and the arms of races that stay as they are.

    What exists of those to start whose names are in `replaced` is deleted first.
    """

    start: tuple[PlannedRun, ...]
    finished: tuple[PlannedRun, ...]
    replaced: frozenset[str] = frozenset()
    resting: tuple[PlannedRun, ...] = ()


@dataclass(frozen=True)
class Outlook:
    """What exists already of a run to be started: `state` is "new", or the state of the existing run.

    `refusal` says why it cannot be started, empty where it can. If it is `replaced`, what exists of it is deleted;
    `trained` says whether that is worth anything: it began to train, or cannot be read.
    """

    run: PlannedRun
    state: str
    refusal: str = ""
    replaced: bool = False
    trained: bool = False


def outlooks(suite: Suite, runs: Sequence[PlannedRun], fresh: bool) -> list[Outlook]:
    """Look for existing runs, and change nothing.

    `fresh` replaces those whose settings changed or that cannot be read, those that trained the structure of a run that
    is replaced, and all arms of a race, which begins anew as a whole. A run that never began to train is replaced
    without it.
    """
    found = [_outlook(suite, run, fresh) for run in runs]
    replaced = {f"{suite.name}/{one.run.name}" for one in found if one.replaced}
    return [_after_its_source(suite, one, replaced) for one in found] if fresh else found


def _after_its_source(suite: Suite, one: Outlook, replaced: Collection[str]) -> Outlook:
    """The outlook of a run, replaced too if it trained the structure of one of the replaced runs."""
    stale = awaited(one.run.spec) in replaced and one.trained and not one.refusal
    return replace(one, replaced=True, refusal=_busy(suite, one.run)) if stale else one


def _outlook(suite: Suite, run: PlannedRun, fresh: bool) -> Outlook:
    directory = suite.directory(run)
    if refusal := _obstacle(suite, run):
        return Outlook(run, _state(directory, run), refusal)
    if not directory.exists():
        return Outlook(run, "new")
    there = read_run(directory, run.name)
    change, trained = _change(suite, run), _has_trained(there)
    if isinstance(there.status, Damaged) and fresh:
        change = change or there.status.problem
    if fresh and any(run.name in record.arms for record in suite.races.values()):
        change = change or "is an arm of a race, which begins anew"
    if not change:
        return Outlook(run, there.status.name, trained=trained)
    busy = _busy(suite, run)
    if fresh or not (trained or busy):
        return Outlook(run, there.status.name, busy, not busy, trained)
    return Outlook(run, there.status.name, f"{run.name}: {change}; {FRESH}", trained=trained)


def _state(directory: RunDir, run: PlannedRun) -> str:
    return read_run(directory, run.name).status.name if directory.exists() else "new"


def _has_trained(run: FoundRun) -> bool:
    """Whether a run began to train, or may have: what cannot be read counts."""
    directory = run.directory
    left = directory.result.exists() or directory.checkpoint.exists()
    return left or isinstance(run.status, Damaged) or bool(run.summary.get("phase"))


def _busy(suite: Suite, run: PlannedRun) -> str:
    """Why what exists of a run cannot be deleted now; empty if it can."""
    directory = suite.directory(run)
    busy = is_locked(directory.log) or is_worked_on(directory)
    return f"{run.name}: is being worked on; wait for it, or stop it" if busy else ""


def select(suite: Suite, only: Sequence[str]) -> tuple[PlannedRun, ...]:
    """The runs that one of the patterns names, by run or by experiment; all of them without patterns."""
    if not only:
        return suite.runs
    for pattern in only:
        if not any(_named(run, pattern) for run in suite.runs):
            raise UsageError(f"no run is called {pattern!r}", nearest(pattern, [run.name for run in suite.runs]))
    return tuple(run for run in suite.runs if any(_named(run, pattern) for pattern in only))


def _named(run: PlannedRun, pattern: str) -> bool:
    experiment = run.name.partition("/")[0]
    return fnmatch.fnmatchcase(run.name, pattern) or fnmatch.fnmatchcase(experiment, pattern)


def plan(suite: Suite, runs: Sequence[PlannedRun], fresh: bool) -> Plan:
    """Decide about every run before any is started; raises RunDirError that lists everything that prevents a start."""
    _make(suite.folder)
    found = outlooks(suite, runs, fresh)
    refusals = [one.refusal for one in found if one.refusal]
    if refusals:
        raise RunDirError("\n".join(refusals))
    replaced = frozenset(one.run.name for one in found if one.replaced)
    finished = tuple(run for run in runs if run.name not in replaced and _is_finished(suite.directory(run)))
    stay = resting(suite, fresh) - {run.name for run in finished}
    rest = tuple(run for run in runs if run.name in stay)
    left_out = {run.name for run in (*finished, *rest)}
    return Plan(tuple(run for run in runs if run.name not in left_out), finished, replaced, rest)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"{folder} cannot be made: {error.strerror}"
        raise RunDirError(message, "choose another workspace in [suite]") from None
    if folder.is_symlink():
        raise RunDirError(f"{folder} is a link, which may lead anywhere", "name another suite, or delete the link")


def _obstacle(suite: Suite, run: PlannedRun) -> str:
    """What stands where this run's folder would be; empty if nothing does."""
    directory = suite.directory(run)
    link = _link_on_the_way(directory.path, suite.folder)
    if link is not None:
        return f"{run.name}: {link} is a link, which may lead anywhere; delete it"
    other = _in_the_way(directory.path, suite.folder)
    if other is not None:
        return f"{run.name}: {other} is a run of this experiment as it was before; move that folder or delete it"
    return ""


def _change(suite: Suite, run: PlannedRun) -> str:
    """How the settings of an existing run differ from those that are planned; empty if they do not."""
    directory = suite.directory(run)
    try:
        spec = RunSpec.of_file(read_json(directory.spec))
    except (S3Error, ValidationError):
        return f"{directory.spec} is damaged or of another version"
    now = comparable(run.spec, spec, Workspace(suite.workspace))
    if is_given(now) and now == spec.model_copy(update={"space": now.space}) != spec:
        return f"trained another structure than {now.space.name} is now"
    changes = differences(spec.model_dump(), now.model_dump())
    return f"was run with other settings: {'; '.join(changes[:3])}" if changes else ""


def _link_on_the_way(path: Path, folder: Path) -> Path | None:
    """The folder of a run, or one above it, that is a symbolic link and may lead out of the suite."""
    return next((path for path in (path, *path.parents) if folder in path.parents and path.is_symlink()), None)


def _in_the_way(path: Path, folder: Path) -> Path | None:
    """An existing run whose folder contains that of this run, or is contained in it."""
    if path.parent != folder and RunDir(path.parent).spec.is_file():
        return path.parent
    inner = (spec.parent for spec in path.glob("*/spec.json"))
    return next((folder for folder in inner if not folder.name.startswith(".")), None)


def differences(there: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Each setting that differs, as `search.clip is 2.0 there and 1.0 now`."""
    found: list[str] = []
    for key in dict.fromkeys((*there, *now)):
        old, new = there.get(key), now.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += differences(old, new, f"{prefix}{key}.")
        elif old != new:
            found.append(f"{prefix}{key} is {_short(old)} there and {_short(new)} now")
    return found


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _is_finished(directory: RunDir) -> bool:
    try:
        read_result(directory)
    except RunDirError:
        return False
    return True


def enqueue(suite: Suite, run: PlannedRun, anew: bool, fresh: float | None) -> None:
    """Put a run into the queue, `anew` if what exists of it is to be deleted.

    Otherwise an unfinished run keeps its files, and a queued one its place. `fresh` is the time at which `--fresh` was
    asked for it, None if it was not: searches from before that are not shared with it.
    """
    workspace, directory = Workspace(suite.workspace), suite.directory(run)
    if anew:
        remove(workspace, directory)
    if not directory.exists():
        directory.create(run.spec.model_dump(mode="json"))
    limit(suite, run)
    found = read_run(directory, run.name)
    there, attempt = found.status, found.attempt
    waits_or_runs = isinstance(there, (Queued, Running, Quiet)) and not getattr(there, "stopping", False)

    def put(old: Queue) -> Queue:
        wanted = replace(
            old, priority=run.queue.priority, order=run.queue.order, retries=run.queue.retries, device=run.queue.device,
            tags=run.queue.tags, log_to=run.queue.log_to, resources=run.queue.resources,
            launch=run.queue.launch, fresh=old.fresh if fresh is None else fresh,
        )  # fmt: skip
        return wanted if waits_or_runs and old.wanted == "queued" else queued(wanted, attempt)

    workspace.queue.change(directory, put)
