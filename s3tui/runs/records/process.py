"""Records of a run's processes (`process.json`) and of their end (`exit.json`), written by the supervisor."""

from __future__ import annotations

from dataclasses import dataclass, field

from core.run.fields import LATER, Amount, Count, Moment
from core.run.rundir import RunDir, read_record_if_there
from s3tui.system.process_identity import Identity


@dataclass(frozen=True)
class Process:
    """The worker of a run and its supervisor; `where` names their devices, such as `gpu 0`.

    `log_start` and `events_start` are the byte offsets at which the output of this attempt begins. `job` is the id of
    their job on a cluster, empty if they have none.
    """

    worker: Identity
    supervisor: Identity
    host: str
    where: str
    started: Moment
    grace: Amount
    log_start: Count
    events_start: Count
    job: str = field(default="", metadata=LATER)


@dataclass(frozen=True)
class Exit:
    """The end of a worker: its exit code, or the signal that ended it. `asked` is "stop" or "kill" if s3tui ended it.

    If its job's time was nearly over, `asked` is "requeue" if the worker left a checkpoint, "too slow" otherwise.

    `cpu_seconds` is the time for which cores worked on it, whatever else they did meanwhile.

    `gpu_joules` is the energy that its GPU used meanwhile, by all processes; None if NVML does not report it.
    """

    worker: Identity
    code: int | None
    signal: str | None
    out_of_memory: bool
    asked: str
    seconds: Amount
    peak_memory_bytes: Count
    gpu_joules: Amount | None = field(default=None, metadata=LATER)
    cpu_seconds: Amount | None = field(default=None, metadata=LATER)


def read_process(directory: RunDir) -> Process | None:
    """The last process of a run; None before the first. Raises RunDirError if the file is damaged."""
    return read_record_if_there(directory.process, Process)


def read_exit(directory: RunDir) -> Exit | None:
    """The last recorded end of a worker; it may belong to an earlier attempt."""
    return read_record_if_there(directory.exit, Exit)
