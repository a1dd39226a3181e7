"""The runs under a folder, read back from their files. A damaged file is told, never fatal."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.run.errors import RunDirError
from core.run.events import Event, Failed, from_line
from core.run.rundir import RunDir, read_json

TAIL_BYTES = 65536  # enough for the last line of any event file, whose last event is a short one


@dataclass(frozen=True)
class Result:
    """What a finished run came to, from `result.json`; `seconds` is the time of the whole run."""

    task: str
    model: str
    method: str
    metric: str
    score: float
    budget: int | None
    parameters: int
    backbone_parameters: int
    seconds: float


@dataclass(frozen=True)
class Done:
    """The run has a result."""

    result: Result


@dataclass(frozen=True)
class Broken:
    """The run ended on an error."""

    kind: str
    message: str
    hint: str


@dataclass(frozen=True)
class Unfinished:
    """The run has neither a result nor an error: it is under way, waits, or was stopped."""


@dataclass(frozen=True)
class Damaged:
    """A file of the run cannot be read."""

    problem: str


@dataclass(frozen=True)
class FoundRun:
    """A run of a workspace; `name` is its path there, `spec` its settings as they are in the file."""

    name: str
    directory: RunDir
    spec: dict[str, Any]
    status: Done | Broken | Unfinished | Damaged


def find_runs(folder: Path) -> list[FoundRun]:
    """Every run under a folder, by name."""
    return [read_run(RunDir(path), path.relative_to(folder).as_posix()) for path in sorted(_directories(folder))]


def _directories(folder: Path) -> Iterator[Path]:
    for path, folders, files in os.walk(folder):
        if "spec.json" in files:
            yield Path(path)
        # Hidden folders are being deleted; a checkpoint holds no runs.
        folders[:] = [f for f in folders if not f.startswith(".") and f != "checkpoint"]


def read_run(directory: RunDir, name: str) -> FoundRun:
    """One run, whatever state its files are in."""
    try:
        spec = read_json(directory.spec)
        if not isinstance(spec, dict):
            raise RunDirError(f"{directory.spec} is damaged")
        return FoundRun(name, directory, spec, _status(directory))
    except RunDirError as error:
        return FoundRun(name, directory, {}, Damaged(str(error)))


def _status(directory: RunDir) -> Done | Broken | Unfinished:
    if directory.result.exists():
        return Done(read_result(directory))
    event = last_event(directory.events)
    if isinstance(event, Failed):
        return Broken(str(event.kind), str(event.message), str(event.hint))
    return Unfinished()


def read_result(directory: RunDir) -> Result:
    """What a run came to; raises RunDirError where `result.json` is missing or damaged."""
    data = read_json(directory.result)
    try:
        return Result(
            task=str(data["task"]),
            model=str(data["model"]),
            method=str(data["method"]),
            metric=str(data["metric"]),
            score=float(data["score"]),
            budget=None if data["budget"] is None else int(data["budget"]),
            parameters=int(data["parameters"]),
            backbone_parameters=int(data["backbone_parameters"]),
            seconds=float(data["seconds"]["total"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RunDirError(f"{directory.result} is damaged", f"{type(error).__name__}: {error}") from None


def last_event(path: Path) -> Event | None:
    """The last whole event of a file, None where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            lines = file.read().split(b"\n")[:-1]
    except OSError:
        return None
    return next((event for event in map(from_line, reversed(lines)) if event is not None), None)
