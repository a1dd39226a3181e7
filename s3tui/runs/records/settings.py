"""What the manager reads of `spec.json` and `summary.json`: checked at once, and kept as it stands in the files.

Whether the settings make a run is for the worker to say; here they only have to be of the right kinds.
"""

from __future__ import annotations

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


_SPEC: Any = Annotated[dict[str, Any], Like(lambda: _Spec)]
_SUMMARY: Any = Annotated[dict[str, Any], Like(lambda: _Summary)]


def read_spec(directory: RunDir) -> dict[str, Any]:
    """The settings of a run; raises RunDirError where the file is missing or damaged."""
    spec: dict[str, Any] = read_record(directory.spec, _SPEC)
    return with_added(spec)


def read_summary(directory: RunDir) -> dict[str, Any]:
    """The little that lists show, empty where there is none yet; raises RunDirError where the file is damaged."""
    summary: dict[str, Any] | None = read_record_if_there(directory.summary, _SUMMARY)
    return summary or {}
