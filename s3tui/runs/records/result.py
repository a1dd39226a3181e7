"""What a finished run came to, read back from its `result.json`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.run.rundir import RunDir
from s3tui.runs.records.json_record import read_record


@dataclass(frozen=True)
class Result:
    """Score, parameters and time; `seconds` is that of the whole run."""

    task: str
    model: str
    method: str
    metric: str
    score: float
    budget: int | None
    parameters: int
    backbone_parameters: int
    seconds: float


def read_result(directory: RunDir) -> Result:
    """What a run came to; raises RunDirError where `result.json` is missing or damaged."""
    return read_record(directory.result, _result)


def _result(data: Any) -> Result:
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
