"""Failures a person can do something about. Each has a kind, a message and a hint.

Exit codes, the same for the worker and every command:

| code | meaning |
|------|---------|
| 0    | done |
| 1    | a run failed (its `log.txt` has the traceback), or something unforeseen |
| 2    | the input is wrong: a file, a key, a value, a device that is not there |
| 130  | interrupted from the keyboard |
"""

from __future__ import annotations

from collections.abc import Iterable

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


# Of what stands in a message and came from a file: characters of a value, and names of a list.
LONGEST_SHOWN = 100
MOST_SHOWN = 50


class S3Error(Exception):
    """A failure with a kind, what happened, and what to do about it."""

    kind = "error"
    exit_code = EXIT_FAILED

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}: {self.hint}" if self.hint else self.message


class SpecError(S3Error):
    """The settings of a run are wrong: an unknown name, a value out of range, a budget that cannot hold."""

    kind = "spec"
    exit_code = EXIT_USAGE


class UsageError(S3Error):
    """A command cannot do what its arguments ask: no such run, an unknown name, a file that is in the way."""

    kind = "usage"
    exit_code = EXIT_USAGE


class DataError(S3Error):
    """The data of a task are missing or do not have the form that was asked for."""

    kind = "data"
    exit_code = EXIT_USAGE


class ModelError(S3Error):
    """A model cannot be loaded, or has no such site."""

    kind = "model"
    exit_code = EXIT_USAGE


class DeviceError(S3Error):
    """A device was asked for that is not there."""

    kind = "device"
    exit_code = EXIT_USAGE


class RunDirError(S3Error):
    """A run directory exists already, or one of its files is missing or damaged."""

    kind = "rundir"
    exit_code = EXIT_USAGE


class DivergedError(S3Error):
    """The loss or a gate became NaN or infinite."""

    kind = "diverged"


class DiskError(S3Error):
    """A file of the run could not be written."""

    kind = "disk"


class LostProcessError(S3Error):
    """One of several processes that share a run is gone."""

    kind = "crash"


class StoppedError(S3Error):
    """The worker was asked to stop."""

    kind = "stopped"


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint that names the closest of `known`, or all of them where none is close."""
    import difflib  # only a mistake needs it, and every command would wait for it

    names = sorted(name[:LONGEST_SHOWN] if name.isprintable() else shown(name) for name in known)
    close = difflib.get_close_matches(name[:LONGEST_SHOWN], names, n=1, cutoff=0.6)
    more = f" and {len(names) - MOST_SHOWN:,} more" if len(names) > MOST_SHOWN else ""
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names[:MOST_SHOWN])}{more}"


def shown(value: object) -> str:
    """A value as Python writes it, with its middle left out where it is long."""
    text = repr(value)
    half = LONGEST_SHOWN // 2
    return text if len(text) <= LONGEST_SHOWN else f"{text[:half]}...{text[-half:]}"
