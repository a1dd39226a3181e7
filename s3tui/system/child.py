"""Working directory and environment of all child processes, so that they import no code from a workspace.

Python imports `sitecustomize` and other modules from the entries of PYTHONPATH, and an empty or relative entry refers
to the working directory. A workspace may belong to another user, so a child never has one as its working directory, and
such entries are removed, as their meaning depends on the folder in which s3tui was started.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import PurePath
from typing import TypedDict

# -P keeps the working directory off the import path; Python 3.10 lacks it, and needs a safe working directory.
PYTHON = (sys.executable, *(("-P",) if sys.version_info >= (3, 11) else ()))
FOLDER = "/"  # always exists, and only the administrator can write to it


class Surroundings(TypedDict):
    """Arguments of `subprocess` for a child, in addition to its command and streams."""

    cwd: str
    env: dict[str, str]


def surroundings(more: Mapping[str, str] | None = None) -> Surroundings:
    """The working directory and the environment of a child; `more` are additional variables.

    All paths in its command must be absolute.
    """
    return {"cwd": FOLDER, "env": safe(os.environ | dict(more or {}))}


def safe(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment in which Python imports no code from the working directory."""
    found = dict(environment) | {"PYTHONSAFEPATH": "1"}
    path = found.pop("PYTHONPATH", "")
    entries = [entry for entry in path.split(os.pathsep) if PurePath(entry).is_absolute()]
    return found | ({"PYTHONPATH": os.pathsep.join(entries)} if entries else {})
