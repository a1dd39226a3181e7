"""How a run ended, told from what its worker left behind."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

from core.run.errors import EXIT_FAILED, EXIT_USAGE, RunDirError, S3Error
from core.run.events import Failed
from core.run.rundir import RunDir
from s3tui.workspace import read_result

USAGE_KINDS = frozenset(cls.kind for cls in S3Error.__subclasses__() if cls.exit_code == EXIT_USAGE)
LOG_TAIL_BYTES = 8192
LOG_TAIL_LINES = 5


@dataclass(frozen=True)
class Failure:
    """A run that came to nothing; `tail` holds the last lines of its log where the worker told nothing itself."""

    run: str
    kind: str
    message: str
    hint: str
    log: Path
    tail: tuple[str, ...] = ()

    def __str__(self) -> str:
        told = ": ".join(part for part in (self.run, self.kind, self.message, self.hint) if part)
        return f"{told} (log: {self.log})"


def failure_of(run: str, directory: RunDir, exit_code: int, told: Failed | None, log_start: int) -> Failure | None:
    """What went wrong with a run whose worker has ended; None where it has a result."""
    if told is not None:
        return Failure(run, str(told.kind), str(told.message), str(told.hint), directory.log)
    if exit_code == 0:
        try:
            read_result(directory)
            return None
        except RunDirError as error:
            return Failure(run, error.kind, error.message, error.hint, directory.log)
    tail = tuple(_last_lines(directory.log, log_start))
    return Failure(run, "died", *_manner_of_death(exit_code), directory.log, tail)


def _manner_of_death(exit_code: int) -> tuple[str, str]:
    if exit_code > 0:
        return f"the worker ended with exit code {exit_code} and told nothing", ""
    name = {s.value: s.name for s in signal.Signals}.get(-exit_code, f"signal {-exit_code}")
    hint = "memory may have run out; dmesg tells" if name == "SIGKILL" else ""
    return f"the worker was ended by {name}", hint


def _last_lines(log: Path, start: int) -> list[str]:
    """The last lines that this attempt printed."""
    with log.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(start, size - LOG_TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    return [line for line in lines if line.strip()][-LOG_TAIL_LINES:]


def exit_code_for(failures: list[Failure]) -> int:
    """The exit code of a suite: wrong input only where every failure is of that kind."""
    if not failures:
        return 0
    return EXIT_USAGE if all(failure.kind in USAGE_KINDS for failure in failures) else EXIT_FAILED
