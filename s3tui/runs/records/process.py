"""What a supervisor writes: which processes work on a run (`process.json`), and how they ended (`exit.json`)."""

from __future__ import annotations

from dataclasses import dataclass, field

from core.run.fields import LATER, Amount, Count, Moment
from core.run.rundir import RunDir, read_record_if_there
from s3tui.system.process_identity import Identity


@dataclass(frozen=True)
class Process:
    """The worker of a run and its supervisor; `where` is what they were given, as `gpu 0`.

    `log_start` and `events_start` are where the output of this attempt begins. `job` is the id of the job that
    they are, empty where they are none.
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
    """The end of a worker: its exit code, or the signal that ended it. `asked` is "stop" or "kill" where we did it.

    Where the time of its job was nearly over it is "requeue" if the worker has left a checkpoint, "too slow" otherwise.

    `gpu_joules` is what its GPU used meanwhile, for whomever; None where NVML does not tell.
    """

    worker: Identity
    code: int | None
    signal: str | None
    out_of_memory: bool
    asked: str
    seconds: Amount
    peak_memory_bytes: Count
    gpu_joules: Amount | None = field(default=None, metadata=LATER)


def read_process(directory: RunDir) -> Process | None:
    """The last process of a run; None before the first, RunDirError where the file is damaged."""
    return read_record_if_there(directory.process, Process)


def read_exit(directory: RunDir) -> Exit | None:
    """The last end of a worker that was written down; it may be that of an earlier attempt."""
    return read_record_if_there(directory.exit, Exit)
