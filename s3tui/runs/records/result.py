"""The result of a finished run (`result.json`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import attrgetter
from typing import Annotated, Literal

from core.run.fields import LATER, Amount, Count, Made
from core.run.rundir import RunDir, read_record


@dataclass(frozen=True)
class _Seconds:
    """The durations in a result."""

    total: Amount


@dataclass(frozen=True, slots=True)
class Result:
    """Score, parameters and time; `seconds` is that of the whole run.

    `precision` is that of the backbone, `fp32` or `bf16`; empty in results of versions before 0.2. `rows` of the test
    split, the `standard_error` of the score over them, the metrics of a `constant` answer, and the number of rows
    `left_out` of the data, by what is wrong with them, came later too.
    """

    task: str
    model: str
    method: str
    metric: str
    score: float
    budget: Count | None
    parameters: Count
    backbone_parameters: Count
    seconds: Annotated[float, Made(_Seconds, attrgetter("total"))]
    precision: Literal["fp32", "bf16", ""] = field(default="", metadata=LATER)
    metrics: dict[str, float] = field(default_factory=dict, metadata=LATER)
    validation: dict[str, float] = field(default_factory=dict, metadata=LATER)
    rows: Count | None = field(default=None, metadata=LATER)
    standard_error: Amount | None = field(default=None, metadata=LATER)
    constant: dict[str, float] = field(default_factory=dict, metadata=LATER)
    left_out: dict[str, Count] = field(default_factory=dict, metadata=LATER)


def read_result(directory: RunDir) -> Result:
    """Read the result of a run; raises RunDirError if `result.json` is missing or damaged."""
    return read_record(directory.result, Result)
