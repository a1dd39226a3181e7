"""What a search has found, kept in the run directory for other runs, and taken where another run has found it.

The manager copies it into the directory of a run that has not begun (`core.run.searched.take`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from core.run.errors import RunDirError
from core.run.rundir import RunDir
from core.run.searched import Searched, read_searched, search_digest, write_searched
from core.runtime import process_group
from core.runtime.log import log_line
from core.runtime.reporter import Reporter
from core.tasks.ragged import Ragged
from core.tasks.task import Split
from core.training.data import Data
from core.training.setup import Setup, versions

# The splits that a search sees.
SEEN: tuple[Split, ...] = ("train", "validation")


def conditions(setup: Setup) -> dict[str, str]:
    """All that a search depends on: on a CPU, two searches under the same conditions find the same."""
    candidates = [placed.candidate for placed in setup.placed]
    return {
        "settings": search_digest(setup.spec.model_dump(mode="json")),
        "space": hashlib.sha256(repr(candidates).encode()).hexdigest()[:12],
        "data": _digest(setup.data),
        "precision": setup.precision,
        "device": setup.data.device.type,
    } | versions()


def taken(run: RunDir, setup: Setup) -> tuple[Searched, dict[str, Tensor]] | None:
    """What another run has found under the same conditions, with the weights; None if there is no such thing here."""
    if not run.search.exists():
        return None
    try:
        searched, tensors = handed_over(run)
    except RunDirError as error:
        _log(f"the search of another run is not used: {error}")
        return None
    if not searched.taken_from:
        return None
    here = conditions(setup)
    others = [key for key, value in here.items() if searched.conditions.get(key) != value]
    if others:
        _log(f"the search of {searched.taken_from} is not used, as it had other {', '.join(others)}")
        return None
    return searched, tensors


def handed_over(run: RunDir) -> tuple[Searched, dict[str, Tensor]]:
    """The search that the manager has copied from another run, with the weights that it has found.

    Raises RunDirError if they are not there or damaged.
    """
    searched, data = read_searched(run)
    try:
        return searched, load(data) if data else {}
    except SafetensorError as error:
        raise RunDirError(f"{run.searched} is damaged", str(error)) from None


def keep(run: RunDir, searched: Searched, tensors: Mapping[str, Tensor], reporter: Reporter) -> None:
    """Write what was found, with the weights; raises DiskError."""
    data = save({name: t.detach().cpu().contiguous() for name, t in tensors.items()}) if tensors else b""
    digest = hashlib.sha256(data).hexdigest() if data else ""
    write_searched(run, replace(searched, weights=digest), data, reporter.result)


def _log(text: str) -> None:
    if process_group.rank() == 0:
        log_line(text)


def _digest(data: Data) -> str:
    """A hash of the rows that a search sees, tokenised, and of how they are labelled and scored."""
    task, digest = data.task, hashlib.blake2b(digest_size=16)
    digest.update(repr((task.kind, task.labels, task.metrics, task.class_weights, data.answering)).encode())
    for split in SEEN:
        rows = data.splits[split]
        for values in (rows.input_ids, rows.token_type_ids, rows.labels):
            digest.update(_bytes(values))
    return digest.hexdigest()


def _bytes(values: Ragged | list[int | float] | None) -> bytes:
    if not isinstance(values, Ragged):
        return repr(values).encode()
    return torch.cat([values.values.long(), values.ends]).numpy().tobytes()
