"""Checkpoints: the full training state of a run, written atomically.

A checkpoint holds no random generator state and no position in the data: all randomness of a run and the order of its
batches are pure functions of the seed and the step (see core.tasks.randomness and core.tasks.order), so the step number
is enough. Learning rates follow from the step too.

The file is safetensors, never a pickle. Everything that is not a tensor is JSON under the one metadata key `s3tui`, as
safetensors writes several keys in no fixed order. A checksum covers both, because a power cut can leave zeros in the
place of the tensors in a file of the right length.
"""

from __future__ import annotations

import contextlib
import json
import re
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from core.run.events import STEPPED
from core.run.rundir import remove_leftovers, write_bytes
from core.runtime.log import log_line

VERSION = 1
KEEP = 2  # the newest, and the one before in case the newest is damaged


@dataclass(frozen=True)
class Snapshot:
    """The training state after `step` steps of `phase`: tensors, and other values as JSON.

    `seconds` is the time spent in each phase so far, over all attempts.
    """

    phase: str
    step: int
    tensors: dict[str, Tensor]
    facts: dict[str, Any]
    seconds: dict[str, float] = field(default_factory=dict)


class Checkpoints:
    """The checkpoints of one run; `spec` is the digest of its settings, checkpoints of other settings are ignored."""

    def __init__(self, folder: Path, spec: str) -> None:
        self._folder, self._spec = folder, spec

    def save(self, snapshot: Snapshot) -> None:
        """Write a checkpoint, durable when this returns, and delete old ones.

        Raises OSError if it cannot be written; the older ones are kept then.
        """
        self._folder.mkdir(exist_ok=True)
        path = self._folder / f"{snapshot.phase}-{snapshot.step:08d}.safetensors"
        write_bytes(path, _encode(snapshot, self._spec))
        self._clear(path)

    def latest(self) -> Snapshot | None:
        """The newest readable checkpoint of these settings, or None; logs which ones it skips."""
        paths = self._paths()
        for path in reversed(paths):
            try:
                return _decode(path, self._spec)
            except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
                log_line(f"the checkpoint {path} is skipped: {str(error) or type(error).__name__}")
        if paths:
            log_line("no checkpoint is left to resume from, so the run starts from the beginning")
        return None

    def _paths(self) -> list[Path]:
        """The checkpoint files in the order in which a run writes them."""
        places = {path: _place(path) for path in self._folder.glob("*.safetensors")}
        return sorted((p for p, place in places.items() if place), key=lambda p: places[p] or ())

    def _clear(self, newest: Path) -> None:
        """Keep the newest and those just before it; files of later steps were skipped or belong to a void attempt."""
        paths = self._paths()
        end = paths.index(newest) + 1
        for path in paths[: max(0, end - KEEP)] + paths[end:]:
            with contextlib.suppress(OSError):
                path.unlink()
        remove_leftovers(self._folder / "*.safetensors")


def _place(path: Path) -> tuple[int, int] | None:
    """The phase and step in a checkpoint's file name; None for other files."""
    match = re.fullmatch(rf"({'|'.join(STEPPED)})-(\d+)\.safetensors", path.name)
    return (STEPPED.index(match[1]), int(match[2])) if match else None


def _encode(snapshot: Snapshot, spec: str) -> bytes:
    tensors = {name: t.detach().cpu().contiguous() for name, t in snapshot.tensors.items()}
    known = {
        "version": VERSION, "spec": spec, "phase": snapshot.phase, "step": snapshot.step, "facts": snapshot.facts,
        "seconds": snapshot.seconds,
    }  # fmt: skip
    text = json.dumps(known | {"checksum": _checksum(known, tensors)}, allow_nan=False)
    data: bytes = save(tensors, metadata={"s3tui": text})
    return data


def _decode(path: Path, spec: str) -> Snapshot:
    """Read a checkpoint; raises an exception if it is damaged or of other settings."""
    with safe_open(path, "pt") as file:
        known = json.loads(file.metadata()["s3tui"])
        # Copies, as tensors in a mapped file lie at other boundaries, where a CPU may add in another order.
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    if known.pop("checksum") != _checksum(known, tensors):
        raise ValueError("its checksum is wrong")
    if (known["version"], known["spec"]) != (VERSION, spec):
        raise ValueError("it is of other settings, or of another version of the program")
    return Snapshot(known["phase"], known["step"], tensors, known["facts"], known["seconds"])


def _checksum(known: dict[str, Any], tensors: dict[str, Tensor]) -> int:
    """CRC-32 of everything in a checkpoint."""
    crc = zlib.crc32(json.dumps(known, sort_keys=True).encode())
    for name in sorted(tensors):
        crc = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, zlib.crc32(name.encode(), crc))
    return crc
