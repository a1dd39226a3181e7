"""Files that a command was asked to write: never over another one, and what goes wrong names what was given."""

from __future__ import annotations

import os
from pathlib import Path

from core.run.errors import UsageError
from core.run.rundir import write_bytes


def check_output(path: Path) -> None:
    """Raise UsageError where `path` cannot be written, before anything is worked out for it."""
    try:
        if path.exists():
            raise UsageError(f"{path} exists already", "name another file, or delete it first")
        if not path.parent.is_dir():
            raise UsageError(f"{path} cannot be written", f"there is no folder {path.parent}")
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise UsageError(f"{path} cannot be written", f"nothing can be written into {path.parent}")
    except OSError as error:
        raise UsageError(f"{path} cannot be written", str(error.strerror)) from None


def write_output(path: Path, data: bytes) -> None:
    """Write a file that is not there yet, whole or not at all."""
    check_output(path)
    try:
        write_bytes(path, data)
    except OSError as error:
        raise UsageError(f"{path} cannot be written", str(error.strerror)) from None
