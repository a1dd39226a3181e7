"""How every process that we start is started, so that no code of a workspace or of another folder is taken for ours.

Python imports `sitecustomize`, and whatever else it looks for, from the entries of PYTHONPATH, and takes an empty or
relative entry for a place under the working directory. A workspace may belong to somebody else, so a child never works
in one, and such entries are left out: what they mean changes with the folder in which s3tui was started.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import PurePath
from typing import TypedDict

# The safe path keeps the working directory off the path of imports; Python 3.10 has no -P, and needs a safe directory.
PYTHON = (sys.executable, *(("-P",) if sys.version_info >= (3, 11) else ()))
FOLDER = "/"  # always there, and nobody but the administrator writes into it


class Surroundings(TypedDict):
    """What `subprocess` is to be given for a child, beside its command and its streams."""

    cwd: str
    env: dict[str, str]


def surroundings(more: Mapping[str, str] | None = None) -> Surroundings:
    """The working directory and the environment of a child; `more` are variables of its own.

    Every path in its command has to be absolute.
    """
    return {"cwd": FOLDER, "env": safe(os.environ | dict(more or {}))}


def safe(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment in which Python takes no code from the working directory."""
    found = dict(environment) | {"PYTHONSAFEPATH": "1"}
    path = found.pop("PYTHONPATH", "")
    entries = [entry for entry in path.split(os.pathsep) if PurePath(entry).is_absolute()]
    return found | ({"PYTHONPATH": os.pathsep.join(entries)} if entries else {})
