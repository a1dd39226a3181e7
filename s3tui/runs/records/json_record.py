"""Small JSON files read back as what they stand for; a damaged one is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from core.run.errors import RunDirError
from core.run.rundir import read_json

T = TypeVar("T")


def read_record(path: Path, make: Callable[[Any], T]) -> T:
    """What `make` makes of a file; raises RunDirError where the file is missing or damaged."""
    data = read_json(path)
    try:
        return make(data)
    except (KeyError, TypeError, ValueError) as error:
        raise RunDirError(f"{path} is damaged", f"{type(error).__name__}: {error}") from None


def read_record_if_there(path: Path, make: Callable[[Any], T]) -> T | None:
    """The same; None where there is no such file."""
    try:
        return read_record(path, make)
    except RunDirError:
        if path.exists():
            raise
        return None
