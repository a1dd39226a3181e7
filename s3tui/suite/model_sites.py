"""The sites of a model and the candidates of spaces on it, computed by a child process with torch."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.run.errors import ModelError, S3Error
from core.run.spaces import SpaceSpec
from s3tui.system.child import PYTHON, surroundings

Found = dict[str, Any]


def examine(model: str, spaces: Sequence[SpaceSpec], exportable: str = "any", head: bool = False) -> Found:
    """The answer of `core.sites` for a model; raises its errors."""
    folder = Path(model).expanduser()
    request = {
        "model": str(folder.resolve()) if folder.exists() else model,
        "spaces": [space.model_dump(mode="json") for space in spaces],
        "exportable": exportable,
        "head": head,
    }
    child = subprocess.run(
        [*PYTHON, "-m", "core.sites"],
        input=json.dumps(request),
        capture_output=True,
        check=False,
        text=True,
        errors="replace",
        **surroundings(),
    )
    try:
        found: Found = json.loads(child.stdout)
    except ValueError:
        last = child.stderr.strip().rpartition("\n")[2] or f"it ended with {child.returncode}"
        raise S3Error(f"cannot look at the model {model}", last) from None
    if "message" in found:
        raise ModelError(found["message"], found["hint"])
    return found | {"model": model}
