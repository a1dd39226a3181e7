"""What decides about the rows and the tokens of a task, in a few digits: equal digits are equal tokens."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import core.run.tasks
from core.run.datapath import check_data_path
from core.run.spec import FileTask, NamedTask
from core.run.tasks import TASKS
from core.tasks import files, icd10, named
from core.tasks.task import Task

# What reads files, and what tokenises.
PACKAGES = ("datasets", "pyarrow", "tokenizers", "transformers")
# Of a tokenizer, what is not in its own description of itself.
SETTINGS = ("pad_token_id", "eos_token_id", "truncation_side", "model_input_names")


def of_source(spec: NamedTask | FileTask) -> str | None:
    """The content of the files that a task is read from, or the release of its package; None where only reading tells.

    Raises DataError where a file is missing, or is none that can be read to its end.
    """
    if isinstance(spec, NamedTask) and spec.name not in named.TABLE:
        # What a package brings is read: only its rows say what they are.
        return icd10.release() if spec.name in TASKS.own else None
    found = files.data_files(spec) if isinstance(spec, FileTask) else named.data_files(spec)
    name = os.path.realpath(spec.path) if isinstance(spec, FileTask) else spec.name
    try:
        return None if found is None else _of_files(name, found)
    except OSError:  # reading it will tell why
        return None


def of_examples(task: Task) -> str:
    """All examples of a task that has been read."""
    digest = hashlib.blake2b(digest_size=16)
    for split, rows in task.splits.items():
        for row in rows:
            digest.update(repr((split, row)).encode())
    return digest.hexdigest()


def of_tokenizer(tokenizer: Any) -> str | None:
    """A tokenizer before its first use; None where it does not say what it does."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return None
    settings = [type(tokenizer).__name__, *(getattr(tokenizer, name, None) for name in SETTINGS)]
    return _digest(backend.to_str(), json.dumps(settings, default=str))


def of_program() -> str:
    """The code that reads and tokenises: ours, as it stands in this package and in the table, and the libraries."""
    ours = [Path(core.run.tasks.__file__), *sorted(Path(__file__).parent.glob("*.py"))]
    own = [path.read_text(encoding="utf-8") for path in ours]
    return _digest(sys.version, *map(version, PACKAGES), *own)


def _of_files(name: str, paths: Sequence[Path]) -> str:
    digest = hashlib.blake2b(name.encode(), digest_size=16)
    for path in paths:
        check_data_path(path)
        digest.update(f"\0{path.name}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()
