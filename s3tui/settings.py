"""What the manager reads of `spec.json` and `summary.json`: checked at once, and kept as it stands in the files.

Whether the settings make a run is for the worker to say; here they only have to be of the right kinds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from core.run.fields import Amount, Count, Like
from core.run.rundir import RunDir, read_record, read_record_if_there


@dataclass(frozen=True)
class _Task:
    name: str = ""
    path: str = ""


@dataclass(frozen=True)
class _Space:
    name: str = ""
    groups: list[dict[str, list[str]]] = field(default_factory=list)


@dataclass(frozen=True)
class _Search:
    selection: str = ""
    temperature: Amount = 1.0


@dataclass(frozen=True)
class _Spec:
    model: str = ""
    task: _Task = _Task()
    space: _Space = _Space()
    method: str = ""
    budget: Amount | None = None
    seed: Count = 0
    device: str = ""
    search: _Search = _Search()


@dataclass(frozen=True)
class _Summary:
    phase: str = ""
    step: Count = 0
    total: Count = 0
    score: float = 0.0
    best: float = 0.0
    parameters: Count = 0
    used: Amount = 0.0
    budget: Count | None = None
    train_loss: float = 0.0
    validation_loss: float = 0.0
    seconds: Amount = 0.0
    ended_early: Count = 0


_SPEC: Any = Annotated[dict[str, Any], Like(_Spec)]
_SUMMARY: Any = Annotated[dict[str, Any], Like(_Summary)]


def read_spec(directory: RunDir) -> dict[str, Any]:
    """The settings of a run; raises RunDirError where the file is missing or damaged."""
    spec: dict[str, Any] = read_record(directory.spec, _SPEC)
    return spec


def read_summary(directory: RunDir) -> dict[str, Any]:
    """The little that lists show, empty where there is none yet; raises RunDirError where the file is damaged."""
    summary: dict[str, Any] | None = read_record_if_there(directory.summary, _SUMMARY)
    return summary or {}
