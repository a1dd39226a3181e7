"""A disk cache of tokenised tasks, shared by all runs.

The files are in `s3tui/tokenised` under $XDG_CACHE_HOME, or ~/.cache. A file's name is a digest of everything that its
content depends on (`core.tasks.identity`), so that no file is ever out of date. A damaged file is recreated, and if
none can be written the run continues without. Files are replaced atomically, so that any number of runs may read and
write at once; they write the same. The least recently used files are deleted when all together exceed LARGEST_BYTES.
The whole folder can be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from core.run.cachedir import cache_folder
from core.run.rundir import write_bytes
from core.run.task_spec import FileTask, NamedTask
from core.tasks import identity
from core.tasks.batches import Encoded, Prompted
from core.tasks.inputs import InputFormat
from core.tasks.ragged import Ragged
from core.tasks.task import Example, Split, Task

LARGEST_BYTES = 8 * 2**30
CHECKSUM_BYTES = 16
# The fields of an example that are kept after tokenising its texts.
KEPT = ("label", "answers", "group")
RAGGED = ("input_ids", "token_type_ids", "labels")


@dataclass(frozen=True)
class Tokenised:
    """A task without its texts, and its tokenised splits."""

    task: Task
    splits: dict[Split, Encoded]


def folder() -> Path:
    """The folder of the cache."""
    return cache_folder() / "tokenised"


def path_of(
    spec: NamedTask | FileTask, data_seed: int, source: str | None, tokenizer: str | None, inputs: InputFormat
) -> Path | None:
    """The file for these digests of a task and a tokenizer; None if one of them is None."""
    if source is None or tokenizer is None:
        return None
    parts = (spec.model_dump_json(), str(data_seed), source, tokenizer, repr(inputs), identity.of_program())
    return folder() / hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


def read(path: Path | None) -> Tokenised | None:
    """Read a file of the cache; None if it does not exist or is damaged."""
    if path is None:
        return None
    try:
        if not path.is_file():
            return None
        data = path.read_bytes()
        if data[:CHECKSUM_BYTES] != _checksum(data[CHECKSUM_BYTES:]):
            return None
        os.utime(path)
        return _decode(load(data[CHECKSUM_BYTES:]))
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None


def write(path: Path | None, tokenised: Tokenised) -> None:
    """Write a file of the cache; failures are ignored."""
    if path is None:
        return
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        data = save(_encode(tokenised))
        write_bytes(path, _checksum(data) + data)
        _bound(path.parent, path)


def _bound(where: Path, newest: Path) -> None:
    """Delete the least recently used files, also temporary ones of killed runs, until the size limit is met."""
    sizes = {path: path.stat() for path in where.iterdir()}
    total = sum(stat.st_size for stat in sizes.values())
    for path in sorted(sizes, key=lambda path: sizes[path].st_mtime):
        if total <= LARGEST_BYTES:
            return
        if path != newest:
            path.unlink(missing_ok=True)
            total -= sizes[path].st_size


def _checksum(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=CHECKSUM_BYTES).digest()


def _encode(tokenised: Tokenised) -> dict[str, Tensor]:
    task, facts = tokenised.task, dict[str, Any]()
    tensors: dict[str, Tensor] = {}
    for split, encoded in tokenised.splits.items():
        columns = {name: [getattr(row, name) for row in task.splits[split]] for name in KEPT}
        facts[split] = {"examples": columns, "prompted": isinstance(encoded, Prompted), "pad_id": encoded.pad_id}
        for name in RAGGED:
            value = getattr(encoded, name)
            if isinstance(value, Ragged):
                tensors |= {f"{split}.{name}.values": value.values, f"{split}.{name}.ends": value.ends}
            else:
                facts[split][name] = value
    known = {f.name: getattr(task, f.name) for f in fields(task) if f.name != "splits"}
    text = json.dumps({"task": known, "splits": facts}).encode()
    return tensors | {"facts": torch.frombuffer(bytearray(text), dtype=torch.uint8)}


def _decode(tensors: dict[str, Tensor]) -> Tokenised:
    facts = json.loads(tensors["facts"].numpy().tobytes())
    examples = {split: _examples(entry["examples"]) for split, entry in facts["splits"].items()}
    known: dict[str, Any] = {name: tuple(x) if isinstance(x, list) else x for name, x in facts["task"].items()}
    splits = {split: _split(split, entry, tensors) for split, entry in facts["splits"].items()}
    return Tokenised(Task(**known, splits=examples), cast("dict[Split, Encoded]", splits))


def _examples(columns: dict[str, list[Any]]) -> tuple[Example, ...]:
    rows: Sequence[tuple[Any, ...]] = list(zip(*(columns[name] for name in KEPT), strict=True))
    return tuple(Example((), label, tuple(answers), group) for label, answers, group in rows)


def _split(split: str, entry: dict[str, Any], tensors: dict[str, Tensor]) -> Encoded:
    values = {
        name: entry[name] if name in entry else Ragged(*(tensors[f"{split}.{name}.{x}"] for x in ("values", "ends")))
        for name in RAGGED
    }
    return (Prompted if entry["prompted"] else Encoded)(**values, pad_id=entry["pad_id"])
