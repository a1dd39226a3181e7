"""The file `delta.safetensors`: the trained tensors of a run, with their description in the metadata."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from core.run.errors import RunDirError
from core.run.foreign import is_out_of_memory, reason
from core.run.rundir import RunDir
from core.run.structure import Candidate, read_candidate

KEY = "s3tui"  # all metadata are under one key, as safetensors writes several in no fixed order
VERSION = 1
DIGEST = "sha256"
ADAPTED = "base_model."  # prefix of the names of PEFT


@dataclass(frozen=True)
class Reading:
    """How the model of a run has read its rows, as far as that does not follow from the model.

    `padding` is the token with which batches were padded for the head of a decoder. `prompt` is what a text-to-text
    model or a decoder was given, with the names of fields in braces, as `str.format` fills them in. With
    `trust_remote_code` the model has run code from its own files; `quantised` is the method of its weights, if any.
    """

    padding: int | None = None
    prompt: str = ""
    trust_remote_code: bool = False
    quantised: str = ""

    def to_json(self) -> dict[str, Any]:
        """What is not as usual."""
        return {key: value for key, value in asdict(self).items() if value != getattr(Reading(), key)}


@dataclass(frozen=True)
class DeltaFile:
    """The content of a `delta.safetensors`.

    `deltas` are the tensors of the candidates, `<module>/<delta>/<tensor>`; `own` those of parameters that the
    model has itself: a new classification head, or all of it after full fine-tuning. `labels` names the classes. Of an
    adapter of PEFT, `adapter` is its configuration and `adapted` its tensors by PEFT's names; `deltas` is empty.
    """

    model: str
    task: str
    labels: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    deltas: Mapping[str, Tensor]
    own: Mapping[str, Tensor]
    adapter: Mapping[str, Any] | None = None
    adapted: Mapping[str, Tensor] = field(default_factory=dict)
    reading: Reading = field(default_factory=Reading)

    @property
    def outputs(self) -> int:
        """How many outputs the new head has; 0 where there is none."""
        ends = ("classifier.weight", "classifier.out_proj.weight", "score.weight")
        return next((len(tensor) for name, tensor in self.own.items() if name.endswith(ends)), 0)


def write_delta(
    tensors: Mapping[str, Tensor],
    model: str,
    task: str,
    labels: tuple[str, ...],
    candidates: tuple[Candidate, ...],
    adapter: Mapping[str, Any] | None = None,
    reading: Reading | None = None,
) -> bytes:
    """The content of a file with these tensors, their description, and a digest of both."""
    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    rows = [asdict(c) for c in candidates]
    read = reading.to_json() if reading is not None else {}
    about: dict[str, Any] = {
        "version": VERSION, "model": model, "task": task, "labels": labels, "candidates": rows
    } | ({"adapter": adapter} if adapter is not None else {}) | ({"reading": read} if read else {})  # fmt: skip
    data: bytes = save(kept, metadata={KEY: json.dumps(about | {DIGEST: digest(about, kept)})})
    return data


def digest(about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """The SHA-256 of the description and of all tensors: name, shape, type and bytes."""
    found = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        found.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        found.update(tensor.flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()


def read_delta(path: str | Path) -> DeltaFile:
    """Read the delta file of a run directory or an exported folder; raises RunDirError if it is missing or damaged."""
    folder = Path(path).expanduser()
    file = RunDir(folder).delta
    if not file.is_file():
        hint = "take a run that is finished, or a folder that s3tui export has written with --to delta"
        raise RunDirError(f"{folder} holds no {file.name}", hint)
    try:
        with safe_open(file, "pt") as opened:
            about = json.loads((opened.metadata() or {})[KEY])
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        _check_digest(file, about, tensors)
        return _content(about, tensors)
    except RunDirError:
        raise
    except Exception as error:  # safetensors and torch raise various exceptions on garbage
        if is_out_of_memory(error):
            raise
        raise RunDirError(f"{file} is damaged", reason(error)) from None


def _check_digest(file: Path, about: dict[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Raise RunDirError if the digest is wrong; files of the first versions have none."""
    written = about.pop(DIGEST, None)
    if written is not None and written != digest(about, tensors):
        raise RunDirError(
            f"{file} is damaged", "its content is not that of its digest: copy it again, or repeat the run"
        )


def _content(about: Any, tensors: dict[str, Tensor]) -> DeltaFile:
    adapter = about.get("adapter")
    is_adapted = {name: adapter is not None and name.startswith(ADAPTED) for name in tensors}
    return DeltaFile(
        model=str(about["model"]),
        task=str(about["task"]),
        labels=tuple(map(str, about.get("labels", ()))),
        candidates=tuple(map(read_candidate, about["candidates"])),
        deltas={name: tensor for name, tensor in tensors.items() if "/" in name},
        own={name: tensor for name, tensor in tensors.items() if "/" not in name and not is_adapted[name]},
        adapter=None if adapter is None else dict(adapter),
        adapted={name: tensor for name, tensor in tensors.items() if is_adapted[name]},
        reading=Reading(**about.get("reading", {})),
    )
