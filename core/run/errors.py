"""Errors that a user can act on. Each has a kind, a message and a hint.

Exit codes, the same for the worker and every command:

| code | meaning |
|------|---------|
| 0    | success |
| 1    | a run failed (its `log.txt` has the traceback), or an unexpected error |
| 2    | the input is wrong: a file, a key, a value, a device that does not exist |
| 130  | interrupted from the keyboard |
"""

from __future__ import annotations

from collections.abc import Iterable

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


# Limits on what a message quotes from a file.
LONGEST_SHOWN = 100  # characters of a value
MOST_SHOWN = 50  # names of a list


class S3Error(Exception):
    """An error with a kind, a message (what happened and where) and a hint (what to do about it)."""

    kind = "error"
    exit_code = EXIT_FAILED

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}: {self.hint}" if self.hint else self.message


class SpecError(S3Error):
    """The settings of a run are wrong: an unknown name, a value out of range, a budget that cannot be met."""

    kind = "spec"
    exit_code = EXIT_USAGE


class UsageError(S3Error):
    """A command cannot do what its arguments ask for: no such run, an unknown name, a file that already exists."""

    kind = "usage"
    exit_code = EXIT_USAGE


class DataError(S3Error):
    """The data of a task are missing or malformed."""

    kind = "data"
    exit_code = EXIT_USAGE


class ModelError(S3Error):
    """A model cannot be loaded, or lacks a site."""

    kind = "model"
    exit_code = EXIT_USAGE


class DeviceError(S3Error):
    """A requested device does not exist."""

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
    """One of the processes of a multi-process run died."""

    kind = "crash"


class StoppedError(S3Error):
    """The worker was asked to stop by a signal."""

    kind = "stopped"


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint with the known name closest to `name`, or with all known names if none is close."""
    import difflib  # imported here, as only error messages need it and it would slow down every command

    names = sorted(name[:LONGEST_SHOWN] if name.isprintable() else quoted(name) for name in known)
    close = difflib.get_close_matches(name[:LONGEST_SHOWN], names, n=1, cutoff=0.6)
    more = f" and {len(names) - MOST_SHOWN:,} more" if len(names) > MOST_SHOWN else ""
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names[:MOST_SHOWN])}{more}"


def quoted(value: object, mapping: str = "a table") -> str:
    """A value from a user's file as an error message quotes it: on one line, of limited length.

    Of containers only the type is named, `mapping` for a dictionary. Booleans and null are written as in JSON and TOML.
    """
    if isinstance(value, dict):
        return mapping
    if isinstance(value, (list, tuple)):
        return "a list" if value else "an empty list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    date_or_time = getattr(value, "isoformat", None)
    return shortened(date_or_time() if date_or_time else repr(value))


def shortened(text: str, longest: int = LONGEST_SHOWN) -> str:
    """The text, with its middle replaced by dots if it has more than `longest` characters."""
    half = longest // 2
    return text if len(text) <= longest else f"{text[:half]}...{text[-half:]}"
