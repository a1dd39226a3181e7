"""Chooses the structure that a run retrains with the code of its method, a row of `core.run.methods`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from core.model.gated import GatedModel
from core.run.methods import METHODS
from core.run.plugins import resolve
from core.run.structure import Structure
from core.runtime.checkpointer import Checkpointer
from core.runtime.reporter import Reporter
from core.search.loop import search
from core.training.setup import Setup


@dataclass(frozen=True)
class Chosen:
    """What a run is to retrain: the structure, and tensors that the method has found for its start, by their names in
    files. Where retraining goes on from a checkpoint, they are there."""

    structure: Structure
    first: Mapping[str, Tensor] = field(default_factory=dict)


def find_structure(setup: Setup, checkpointer: Checkpointer, reporter: Reporter) -> Chosen:
    """The structure of a run; raises SpecError if its method is from a package that cannot be imported."""
    row = METHODS[setup.spec.method]
    code = resolve(row.code, f"method {row.name!r}") if row.code else None
    if row.searches:
        return _searched(setup, code, checkpointer, reporter)
    selected = tuple(sorted(code(setup))) if code else ()
    chosen = set(selected)
    return Chosen(_structure(setup, tuple(float(i in chosen) for i in range(len(setup.placed))), selected))


def _structure(setup: Setup, p: tuple[float, ...], selected: tuple[int, ...]) -> Structure:
    candidates = tuple(placed.candidate for placed in setup.placed)
    return Structure(candidates, p, selected, setup.budget, setup.spec.model)


def _searched(setup: Setup, code: Any, checkpointer: Checkpointer, reporter: Reporter) -> Chosen:
    """What the search finds, or an earlier attempt of it has found."""
    resumed = checkpointer.resumed
    if resumed is not None and resumed.phase == "retrain":
        return Chosen(_structure(setup, tuple(resumed.facts["p"]), tuple(resumed.facts["selected"])))
    model = GatedModel(setup.backbone.model, setup.placed, setup.backbone.head)
    searcher = code(setup, model, setup.budget)
    state, p, selected = search(setup, searcher, checkpointer, reporter)
    first = searcher.first_tensors(state, selected)
    model.detach()
    return Chosen(_structure(setup, p, selected), first)
