"""What a run asks of Slurm, as the queue file of the run has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from core.run.fields import LATER, Count, Made, WrongError, read
from s3tui.launchers.job_reports import JobRefusedError

Option = str | int | bool  # of sbatch
WARN_SECONDS = 120
MAX_TASKS = 1000  # of one array: Slurm's own limit, MaxArraySize, is 1001 by default


def _pairs(table: dict[str, Option]) -> tuple[tuple[str, Option], ...]:
    return tuple(table.items())


@dataclass(frozen=True)
class JobOptions:
    """What a job asks for; what is empty or 0 is left to the cluster's defaults.

    `memory` is in bytes, `time` as Slurm writes it. `parallel` limits how many tasks of an array run at once.
    `warn_seconds` before the time limit the worker is asked for a checkpoint. `setup` are lines of bash before it
    starts, `sbatch` are further options of sbatch.
    """

    partition: str = field(default="", metadata=LATER)
    account: str = field(default="", metadata=LATER)
    qos: str = field(default="", metadata=LATER)
    gres: str = field(default="", metadata=LATER)
    constraint: str = field(default="", metadata=LATER)
    exclude: str = field(default="", metadata=LATER)
    time: str = field(default="", metadata=LATER)
    cpus: Count = field(default=0, metadata=LATER)
    memory: Count = field(default=0, metadata=LATER)
    parallel: Count = field(default=0, metadata=LATER)
    warn_seconds: Count = field(default=WARN_SECONDS, metadata=LATER)
    setup: tuple[str, ...] = field(default=(), metadata=LATER)
    sbatch: Annotated[tuple[tuple[str, Option], ...], Made(dict[str, Option], _pairs)] = field(
        default=(), metadata=LATER
    )


def job_options(table: Mapping[str, Any]) -> JobOptions:
    """The options of a queue file; raises JobRefusedError where one of them is none of ours."""
    try:
        return read(JobOptions, dict(table))
    except WrongError as error:
        raise JobRefusedError(f"launch.{error} in queue.json") from None
