"""What a supervisor writes: which processes work on a run (`process.json`), and how they ended (`exit.json`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.run.rundir import RunDir
from s3tui.runs.records.json_record import read_record_if_there
from s3tui.system.process_identity import Identity


@dataclass(frozen=True)
class Process:
    """The worker of a run and its supervisor; `where` is what they were given, as `gpu 0`.

    `log_start` and `events_start` are where the output of this attempt begins. `job` is the id of their Slurm job,
    empty where they have none.
    """

    worker: Identity
    supervisor: Identity
    host: str
    where: str
    started: float
    grace: float
    log_start: int
    events_start: int
    job: str = ""


@dataclass(frozen=True)
class Exit:
    """The end of a worker: its exit code, or the signal that ended it. `asked` is "stop" or "kill" where we did it.

    Where Slurm's time was nearly over it is "requeue" if the worker has left a checkpoint, "too slow" otherwise.

    `gpu_joules` is what its GPU used meanwhile, for whomever; None where NVML does not tell.
    """

    worker: Identity
    code: int | None
    signal: str | None
    out_of_memory: bool
    asked: str
    seconds: float
    peak_memory_bytes: int
    gpu_joules: float | None = None


def read_process(directory: RunDir) -> Process | None:
    """The last process of a run; None before the first, RunDirError where the file is damaged."""
    return read_record_if_there(directory.process, _process)


def read_exit(directory: RunDir) -> Exit | None:
    """The last end of a worker that was written down; it may be that of an earlier attempt."""
    return read_record_if_there(directory.exit, _exit)


def _process(data: Any) -> Process:
    return Process(
        worker=Identity.from_json(data["worker"]),
        supervisor=Identity.from_json(data["supervisor"]),
        host=str(data["host"]),
        where=str(data["where"]),
        started=float(data["started"]),
        grace=float(data["grace"]),
        log_start=int(data["log_start"]),
        events_start=int(data["events_start"]),
        job=str(data.get("job", "")),
    )


def _exit(data: Any) -> Exit:
    code, signal = data["code"], data["signal"]
    return Exit(
        worker=Identity.from_json(data["worker"]),
        code=None if code is None else int(code),
        signal=None if signal is None else str(signal),
        out_of_memory=bool(data["out_of_memory"]),
        asked=str(data["asked"]),
        seconds=float(data["seconds"]),
        peak_memory_bytes=int(data["peak_memory_bytes"]),
        gpu_joules=None if data.get("gpu_joules") is None else float(data["gpu_joules"]),
    )
