"""What a search has found (`search.json`), which runs that differ in retraining alone share. No torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from core.run.errors import RunDirError
from core.run.fields import Amount, Count, Share
from core.run.rundir import RunDir, json_bytes, open_plain, read_record, write_bytes


@dataclass(frozen=True)
class Searched:
    """The end of a search: p, the structure, and the order in which it takes candidates (None: it goes by p).

    `conditions` is all that it depends on: settings, data, precision, kind of device, versions. It took `steps` steps
    and `seconds`. `weights` is the SHA-256 of `searched.safetensors`, empty where the method learns none. `taken_from`
    is the run of the workspace that has searched, empty if this run has. `ended_early`: before its last step.
    `prunings_left` counts the prunings that it had no steps for; None if it does not prune.
    """

    conditions: dict[str, str]
    p: tuple[Share, ...]
    selected: tuple[Count, ...]
    order: tuple[Count, ...] | None
    steps: Count
    seconds: Amount
    weights: str
    taken_from: str
    ended_early: bool = False
    prunings_left: Count | None = None

    def to_json(self) -> dict[str, Any]:
        """The content of the file."""
        return {"v": 1} | asdict(self)


def search_digest(spec: Mapping[str, Any]) -> str:
    """A hash of those settings in a `spec.json` on which a search depends: all but `retrain` and the number of a GPU.

    The order of keys does not count, except for the patterns of a space.
    """
    of_search = {key: value for key, value in spec.items() if key != "retrain"}
    of_search["device"] = str(spec.get("device", "")).partition(":")[0]
    parts = {key: dict(sorted(v.items())) if isinstance(v, dict) else v for key, v in sorted(of_search.items())}
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def read_searched(run: RunDir) -> tuple[Searched, bytes]:
    """What the search of a run has found, with the content of `searched.safetensors`.

    Raises RunDirError if it has found nothing yet, or one of the files is damaged.
    """
    searched = read_record(run.search, Searched)
    return searched, _weights(run, searched) if searched.weights else b""


def source_of(run: RunDir) -> Searched | None:
    """The search that a run has taken from another; None if it has searched itself, or not yet."""
    searched = search_of(run)
    return searched if searched is not None and searched.taken_from else None


def search_of(run: RunDir) -> Searched | None:
    """What the search of a run has found, its own or another's; None if nothing yet, or the file is damaged."""
    try:
        return read_record(run.search, Searched)
    except RunDirError:
        return None


def write_searched(
    run: RunDir, searched: Searched, weights: bytes, write: Callable[[Path, bytes], None] = write_bytes
) -> None:
    """Write both files; `search.json` comes last and alone says that the search is over, so that a kill does no harm.

    `write` replaces a file atomically.
    """
    if weights:
        write(run.searched, weights)
    write(run.search, json_bytes(searched.to_json()))


def take(run: RunDir, source: RunDir, name: str) -> None:
    """Copy what another run, called `name`, has found into a run that has not begun; raises RunDirError as above."""
    searched, weights = read_searched(source)
    write_searched(run, replace(searched, taken_from=name), weights)


def _weights(run: RunDir, searched: Searched) -> bytes:
    """The content of `searched.safetensors`; raises RunDirError if it is not that of this search."""
    try:
        with open_plain(run.searched) as file:
            data = file.read()
    except OSError as error:
        raise RunDirError(f"{run.searched} cannot be read", error.strerror or str(error)) from None
    if hashlib.sha256(data).hexdigest() != searched.weights:
        raise RunDirError(f"{run.searched} is damaged", "its content is not that of its digest in search.json")
    return data
