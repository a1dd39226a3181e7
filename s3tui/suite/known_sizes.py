"""A cache on disk for the sizes of spaces on models, as counting them takes seconds of processor time.

The key is a digest of everything that affects a size: the model's configuration, the space, and the code that counts.
The files can be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import core.run.spaces
from core.run.cachedir import cache_folder
from core.run.deltas import DELTAS
from core.run.errors import RunDirError, S3Error
from core.run.modelfiles import model_file
from core.run.rundir import read_record, write_json
from core.run.spec import RunSpec
from s3tui.suite.size import Size


def known(spec: RunSpec) -> Size | None:
    """The size of a run's space, or None if it is not in the cache."""
    path = _path(spec)
    with contextlib.suppress(RunDirError):
        return read_record(path, Size) if path else None
    return None


def keep(spec: RunSpec, size: Size) -> None:
    """Store a size; a failed count is not stored, so that it is tried again."""
    path = _path(spec)
    if path and (size.misfit or not size.problem):
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, asdict(size))


def _path(spec: RunSpec) -> Path | None:
    """The file of a size; None if it depends on something that has no digest, such as another package's delta."""
    try:
        config = model_file(spec.model, "config.json")
        if config is None or any(delta.name not in DELTAS.own for _, _, delta in spec.space.deltas()):
            return None
        digest = hashlib.sha256(config.read_bytes())
    except (S3Error, OSError):
        return None
    digest.update(f"{spec.exportable} {spec.head} {spec.space.model_dump_json()}".encode())
    digest.update(version("transformers").encode())
    for path in _code():
        digest.update(path.read_bytes())
    return cache_folder() / "sizes" / f"{digest.hexdigest()[:32]}.json"


def _code() -> list[Path]:
    """The modules that build models and place spaces on them."""
    root = Path(core.run.spaces.__file__).parents[1]
    return sorted([root / "sites.py", *(root / "run").glob("*.py"), *(root / "model").rglob("*.py")])
