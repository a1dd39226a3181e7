"""Decides for each run of a suite whether to start it, skip it as finished, or refuse."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from core.run.errors import RunDirError, S3Error, UsageError, nearest
from core.run.given import is_given
from core.run.rundir import RunDir, read_json
from core.run.spec import RunSpec
from s3tui.runs.records.queue import Queue, queued
from s3tui.runs.records.result import read_result
from s3tui.runs.status import Queued, Quiet, Running
from s3tui.runs.workspace import Workspace, read_run
from s3tui.scheduling.control import is_worked_on, remove
from s3tui.structures.run_reference import comparable
from s3tui.suite.enter_races import limit, resting
from s3tui.suite.load import PlannedRun, Suite
from s3tui.system.file_locks import is_locked

FRESH = "--fresh replaces it"


@dataclass(frozen=True)
class Plan:
    """The runs to start, in order, those that are finished already, and the arms of races that stay as they are."""

    start: tuple[PlannedRun, ...]
    finished: tuple[PlannedRun, ...]
    resting: tuple[PlannedRun, ...] = ()


@dataclass(frozen=True)
class Outlook:
    """What exists already of a run to be started: `state` is "new", or the state of the existing run.

    `refusal` says why it cannot be started, empty where it can.
    """

    run: PlannedRun
    state: str
    refusal: str


def outlook(suite: Suite, run: PlannedRun, fresh: bool) -> Outlook:
    """Look for an existing run, and change nothing."""
    directory = suite.directory(run)
    state = read_run(directory, run.name).status.name if directory.exists() else "new"
    return Outlook(run, state, _refusal(suite, run, fresh))


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
    refusals = [reason for run in runs if (reason := _refusal(suite, run, fresh))]
    if refusals:
        raise RunDirError("\n".join(refusals))
    finished = () if fresh else tuple(run for run in runs if _is_finished(suite.directory(run)))
    stay = resting(suite, fresh)
    rest = tuple(run for run in runs if run.name in stay and run not in finished)
    return Plan(tuple(run for run in runs if run not in finished and run not in rest), finished, rest)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"{folder} cannot be made: {error.strerror}"
        raise RunDirError(message, "choose another workspace in [suite]") from None
    if folder.is_symlink():
        raise RunDirError(f"{folder} is a link, which may lead anywhere", "name another suite, or delete the link")


def _refusal(suite: Suite, run: PlannedRun, fresh: bool) -> str:
    """Why this run cannot be started, empty where it can."""
    directory = suite.directory(run)
    link = _link_on_the_way(directory.path, suite.folder)
    if link is not None:
        return f"{run.name}: {link} is a link, which may lead anywhere; delete it"
    other = _in_the_way(directory.path, suite.folder)
    if other is not None:
        return f"{run.name}: {other} is a run of this experiment as it was before; move that folder or delete it"
    if fresh and (is_locked(directory.log) or is_worked_on(directory)):
        return f"{run.name}: is being worked on; wait for it, or stop it"
    if fresh or not directory.exists():
        return ""
    try:
        spec = RunSpec.of_file(read_json(directory.spec))
    except (S3Error, ValidationError):
        return f"{run.name}: {directory.spec} is damaged or of another version; {FRESH}"
    now = comparable(run.spec, spec, Workspace(suite.workspace))
    if is_given(now) and now == spec.model_copy(update={"space": now.space}) != spec:
        return f"{run.name}: trained another structure than {now.space.name} is now; {FRESH}"
    changes = differences(spec.model_dump(), now.model_dump())
    return f"{run.name}: was run with other settings: {'; '.join(changes[:3])}; {FRESH}" if changes else ""


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


def enqueue(suite: Suite, run: PlannedRun, fresh: float | None) -> None:
    """Put a run into the queue; an unfinished run keeps its files, a queued one its place.

    `fresh` is the time at which `--fresh` was asked for, None if it was not: what is there is deleted first.
    """
    workspace, directory = Workspace(suite.workspace), suite.directory(run)
    if fresh is not None and directory.exists():
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
