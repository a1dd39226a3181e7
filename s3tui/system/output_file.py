"""Writes output files of commands: existing files are never overwritten, and errors name the given path."""

from __future__ import annotations

import os
from pathlib import Path

from core.run.errors import UsageError
from core.run.rundir import write_bytes


def check_output(path: Path) -> None:
    """Raise UsageError if `path` cannot be written; called before the content is computed."""
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
    """Write a new file atomically."""
    check_output(path)
    try:
        write_bytes(path, data)
    except OSError as error:
        raise UsageError(f"{path} cannot be written", str(error.strerror)) from None
