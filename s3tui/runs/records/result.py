"""The result of a finished run (`result.json`)."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import Annotated

from core.run.fields import Amount, Count, Made
from core.run.rundir import RunDir, read_record


@dataclass(frozen=True)
class _Seconds:
    """The durations in a result."""

    total: Amount


@dataclass(frozen=True)
class Result:
    """Score, parameters and duration of a run; `seconds` is the total."""

    task: str
    model: str
    method: str
    metric: str
    score: float
    budget: Count | None
    parameters: Count
    backbone_parameters: Count
    seconds: Annotated[float, Made(_Seconds, attrgetter("total"))]


def read_result(directory: RunDir) -> Result:
    """Read the result of a run; raises RunDirError if `result.json` is missing or damaged."""
    return read_record(directory.result, Result)
