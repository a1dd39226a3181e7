"""Digests of everything that the tokens of a task depend on: data, tokenizer, code and libraries."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from core.run.datapath import check_data_path
from core.run.task_spec import FileTask, NamedTask
from core.run.tasks import TASKS
from core.tasks import files, icd10, named
from core.tasks.task import Task

# The libraries that read files and tokenise.
PACKAGES = ("datasets", "pyarrow", "tokenizers", "transformers")
# The attributes of a tokenizer that its own serialised form lacks.
SETTINGS = ("pad_token_id", "eos_token_id", "truncation_side", "model_input_names", "chat_template")


def of_source(spec: NamedTask | FileTask) -> str | None:
    """A digest of the files of a task, or of the release of its package; None if that needs its rows to be read first.

    Raises DataError if a file is missing or not a regular file.
    """
    if isinstance(spec, NamedTask) and spec.name not in named.TABLE:
        # Tasks of plugins have to be read: only their rows identify them.
        return icd10.release() if spec.name in TASKS.own else None
    found = files.data_files(spec) if isinstance(spec, FileTask) else named.data_files(spec)
    name = os.path.realpath(spec.path) if isinstance(spec, FileTask) else spec.name
    try:
        return None if found is None else _of_files(name, found)
    except OSError:  # reading the rows will report why
        return None


def of_examples(task: Task) -> str:
    """A digest of all examples of a task."""
    digest = hashlib.blake2b(digest_size=16)
    for split, rows in task.splits.items():
        for row in rows:
            digest.update(repr((split, row)).encode())
    return digest.hexdigest()


def of_tokenizer(tokenizer: Any) -> str | None:
    """A digest of a tokenizer before its first use; None if it cannot be serialised."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return None
    settings = [type(tokenizer).__name__, *(getattr(tokenizer, name, None) for name in SETTINGS)]
    return _digest(backend.to_str(), json.dumps(settings, default=str))


def of_program() -> str:
    """A digest of the code that reads and tokenises: this package, tables that it reads, and versions of libraries."""
    here = Path(__file__).parent
    ours = [*(here.parent / "run" / name for name in ("prompts.py", "tasks.py")), *sorted(here.glob("*.py"))]
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
