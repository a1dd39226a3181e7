"""The `[launcher]` table of a suite whose runs may go to Slurm."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from s3tui.launchers.slurm.options import WARN_SECONDS
from s3tui.text.toml_types import Bytes, Line, Positive, Table, fault, table_like

_TIME = re.compile(r"[0-9]{1,7}|[0-9]{1,7}:\d\d|[0-9]{1,7}:\d\d:\d\d|[0-9]{1,5}-[0-9]{1,2}(:\d\d){0,2}", re.ASCII)
_TIME_RULE = 'should be a time as Slurm writes it, in quotes: "90" (minutes), "12:00:00" or "2-00:00:00" (days)'
_SETUP_RULE = 'should be a list of lines, as in ["module load cuda", "source venv/bin/activate"]'
# What makes an array of runs of ours; another value would lose track of them.
_OURS = frozenset(
    {"array", "job-name", "output", "error", "input", "open-mode", "signal", "requeue", "no-requeue", "chdir", "nice",
     "ntasks", "nodes", "wrap", "test-only", "parsable", "wait"}
)  # fmt: skip
_TWICE = {
    "partition": "partition", "account": "account", "qos": "qos", "gres": "gres", "constraint": "constraint",
    "exclude": "exclude", "time": "time", "cpus-per-task": "cpus", "mem": "memory",
}  # fmt: skip


def _time(value: Any) -> Any:
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise fault(_TIME_RULE)
    return value


def _setup(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(line, str) for line in value):
        raise fault(_SETUP_RULE)
    return tuple(value)


def _option_name(name: str) -> str:
    if name in _OURS:
        raise fault("is set by s3tui itself")
    if name in _TWICE:
        raise fault(f"is the launcher's own key {_TWICE[name]}")
    if not re.fullmatch(r"[a-z][a-z-]+", name):
        raise fault("is no long option of sbatch, as in mail-type")
    return name


def _option(value: Any) -> Any:
    is_line = isinstance(value, str) and "\n" not in value
    if not (value is True or (isinstance(value, int) and value is not False) or is_line):
        raise fault("should be a text, a whole number or true")
    return value


_SbatchOptions = dict[Annotated[str, AfterValidator(_option_name)], Annotated[Any, BeforeValidator(_option)]]


class SlurmSettings(Table):
    """What the jobs of runs ask for; what is left out is left to the cluster's defaults."""

    partition: Line = ""
    account: Line = ""
    qos: Line = ""
    gres: Line = ""
    constraint: Line = ""
    exclude: Line = ""
    warn_seconds: Positive = WARN_SECONDS
    time: Annotated[str, BeforeValidator(_time)] = ""
    cpus: Positive | None = None
    memory: Bytes | None = None
    parallel: Positive | None = None
    setup: Annotated[tuple[str, ...], BeforeValidator(_setup)] = ()
    sbatch: Annotated[_SbatchOptions, table_like('{ mail-type = "END" }')] = Field(default_factory=dict)

    @field_validator("time")
    @classmethod
    def _is_longer_than_the_warning(cls, time: str, info: ValidationInfo) -> str:
        warn = info.data.get("warn_seconds", WARN_SECONDS)
        if seconds_of(time) <= warn:
            raise fault(f"should be longer than warn_seconds, which is {warn}")
        return time


def seconds_of(time: str) -> int:
    """How long a time limit of Slurm's is: minutes where there is one number, and from hours on behind days."""
    days, dash, clock = time.rpartition("-")
    parts = list(map(int, clock.split(":")))
    if dash or len(parts) == 3:
        hours, minutes, seconds = (*parts, 0, 0)[:3]
    else:
        hours, (minutes, seconds) = 0, (*parts, 0)[:2]
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds
