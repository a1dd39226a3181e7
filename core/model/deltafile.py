"""What a run trained, in the one file that holds it: tensors, and in the metadata what they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from core.run.errors import RunDirError
from core.run.rundir import RunDir
from core.run.structure import Candidate, read_candidate

KEY = "s3tui"  # all metadata are under one key, as safetensors writes several in no fixed order
VERSION = 1


@dataclass(frozen=True)
class DeltaFile:
    """The content of a `delta.safetensors`.

    `deltas` are the tensors of the candidates, `<module>/<delta>/<tensor>`; `own` those of parameters that the
    model has itself: a new classification head, or all of it after full fine-tuning. `labels` names the classes.
    """

    model: str
    task: str
    labels: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    deltas: Mapping[str, Tensor]
    own: Mapping[str, Tensor]

    @property
    def outputs(self) -> int:
        """How many outputs the new head has; 0 where there is none."""
        ends = ("classifier.weight", "classifier.out_proj.weight", "score.weight")
        return next((len(tensor) for name, tensor in self.own.items() if name.endswith(ends)), 0)


def metadata(model: str, task: str, labels: tuple[str, ...], candidates: tuple[Candidate, ...]) -> dict[str, str]:
    """What a file says of its tensors."""
    rows = [vars(c) for c in candidates]
    return {KEY: json.dumps({"version": VERSION, "model": model, "task": task, "labels": labels, "candidates": rows})}


def read_delta(path: str | Path) -> DeltaFile:
    """What was trained, of a run directory or an exported folder; raises RunDirError where it is missing or damaged."""
    folder = Path(path).expanduser()
    file = RunDir(folder).delta
    if not file.is_file():
        hint = "take a run that is finished, or a folder that s3tui export has written with --to delta"
        raise RunDirError(f"{folder} holds no {file.name}", hint)
    try:
        with safe_open(file, "pt") as opened:
            about = json.loads((opened.metadata() or {})[KEY])
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        return _content(about, tensors)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise RunDirError(f"{file} is damaged", f"{type(error).__name__}: {error}") from None


def _content(about: Any, tensors: dict[str, Tensor]) -> DeltaFile:
    return DeltaFile(
        model=str(about["model"]),
        task=str(about["task"]),
        labels=tuple(map(str, about.get("labels", ()))),
        candidates=tuple(map(read_candidate, about["candidates"])),
        deltas={name: tensor for name, tensor in tensors.items() if "/" in name},
        own={name: tensor for name, tensor in tensors.items() if "/" not in name},
    )
