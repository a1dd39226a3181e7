"""Reads `spec.json` and `summary.json` as dictionaries, with the types of the fields that the manager uses checked.

The worker validates the settings fully.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any

from core.run.added import with_added
from core.run.fields import Amount, Count, Like
from core.run.rundir import RunDir, read_record, read_record_if_there


class _Task:
    name: str
    path: str


class _Space:
    name: str


class _Search:
    selection: str
    temperature: Amount


TASK, SPACE, SEARCH = Like(lambda: _Task), Like(lambda: _Space), Like(lambda: _Search)


class _Spec:
    model: str
    task: Annotated[Any, TASK]
    space: Annotated[Any, SPACE]
    method: str
    budget: Amount | None
    seed: Count
    device: str
    search: Annotated[Any, SEARCH]


class _Summary:
    phase: str
    step: Count
    total: Count
    score: float
    best: float
    parameters: Count
    used: Amount
    budget: Count | None
    train_loss: float
    validation_loss: float
    seconds: Amount
    ended_early: Count
    prunings_left: Count


_SPEC: Any = Annotated[dict[str, Any], Like(lambda: _Spec)]
_SUMMARY: Any = Annotated[dict[str, Any], Like(lambda: _Summary)]


def read_spec(directory: RunDir) -> dict[str, Any]:
    """Read the settings of a run; raises RunDirError if the file is missing or damaged."""
    spec: dict[str, Any] = read_record(directory.spec, _SPEC)
    return with_added(spec)


def read_summary(directory: RunDir) -> dict[str, Any]:
    """Read the summary of a run, empty if there is none yet; raises RunDirError if the file is damaged."""
    summary: dict[str, Any] | None = read_record_if_there(directory.summary, _SUMMARY)
    return summary or {}


def task_of(spec: Mapping[str, Any], short: bool = False) -> str:
    """The name of a run's task, or the path of its data (`short`: the name of the file alone, without extension)."""
    task: Mapping[str, str] = spec.get("task", {})
    path = task.get("path", "")
    return task.get("name") or (PurePosixPath(path).stem if short else path)
