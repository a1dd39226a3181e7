"""Failure reports of unsuccessful runs, and the exit code of a suite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.run.errors import EXIT_FAILED, EXIT_USAGE, RunDirError, S3Error
from core.run.rundir import open_plain
from s3tui.runs.records.process import read_process
from s3tui.runs.status import Broken, Dead, Done, Queued
from s3tui.runs.workspace import FoundRun

USAGE_KINDS = frozenset(cls.kind for cls in S3Error.__subclasses__() if cls.exit_code == EXIT_USAGE)
LOG_TAIL_BYTES = 8192
LOG_TAIL_LINES = 5


@dataclass(frozen=True)
class Failure:
    """The failure report of a run; `tail` are the last lines of its log if the worker reported no error itself."""

    run: str
    kind: str
    message: str
    log: Path
    tail: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = ": ".join(part for part in (self.run, self.kind, self.message) if part)
        return f"{text} (log: {self.log})"


def failure_of(run: FoundRun, name: str, waits_for: str = "") -> Failure | None:
    """The failure of a run that does not proceed by itself; None if it has a result."""
    status, log = run.status, run.directory.log
    if isinstance(status, Done):
        return None
    if isinstance(status, Broken):
        more = ": ".join(filter(None, (status.message, status.hint)))
        return Failure(name, status.kind, "; ".join(filter(None, (more, status.reason))), log)
    tail = last_lines(run) if isinstance(status, Dead) else ()
    return Failure(name, status.name, waits_for if isinstance(status, Queued) else status.note, log, tail)


def last_lines(run: FoundRun) -> tuple[str, ...]:
    """The last lines that the last attempt wrote to the log."""
    try:
        process = read_process(run.directory)
    except RunDirError:
        return ()
    return tail_of(run.directory.log, process.log_start if process else 0)


def tail_of(log: Path, begin: int) -> tuple[str, ...]:
    """The last lines of a log after the byte offset `begin`."""
    try:
        with open_plain(log) as file:
            file.seek(max(begin, file.seek(0, 2) - LOG_TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ()
    return tuple(line for line in lines if line.strip())[-LOG_TAIL_LINES:]


def exit_code_for(failures: Sequence[Failure]) -> int:
    """The exit code of a suite: that of wrong input only if every failure is of that kind."""
    if not failures:
        return 0
    return EXIT_USAGE if all(failure.kind in USAGE_KINDS for failure in failures) else EXIT_FAILED
