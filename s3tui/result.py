"""What a finished run came to, read back from its `result.json`."""

from __future__ import annotations

from dataclasses import dataclass

from core.run.errors import RunDirError
from core.run.rundir import RunDir, read_json


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
