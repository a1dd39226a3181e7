"""Chooses the structure that a run retrains with the code of its method, a row of `core.run.methods`."""

from __future__ import annotations

from typing import Any

from core.model.gated import GatedModel
from core.run.methods import METHODS
from core.run.plugins import resolve
from core.run.structure import Structure
from core.runtime.checkpointer import Checkpointer
from core.runtime.reporter import Reporter
from core.search.loop import search
from core.training.setup import Setup


def find_structure(setup: Setup, checkpointer: Checkpointer, reporter: Reporter) -> Structure:
    """The structure of a run; raises SpecError if its method is from a package that cannot be imported."""
    row = METHODS[setup.spec.method]
    candidates = tuple(placed.candidate for placed in setup.placed)
    code = resolve(row.code, f"method {row.name!r}") if row.code else None
    if row.searches:
        p, selected = _searched(setup, code, checkpointer, reporter)
    else:
        selected = tuple(sorted(code(setup))) if code else ()
        chosen = set(selected)
        p = tuple(float(i in chosen) for i in range(len(candidates)))
    return Structure(candidates, p, selected, setup.budget, setup.spec.model)


def _searched(
    setup: Setup, searcher: Any, checkpointer: Checkpointer, reporter: Reporter
) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """p and the structure found by the search, or by an earlier attempt of it."""
    if checkpointer.resumed is not None and checkpointer.resumed.phase == "retrain":
        return tuple(checkpointer.resumed.facts["p"]), tuple(checkpointer.resumed.facts["selected"])
    model = GatedModel(setup.backbone.model, setup.placed, setup.backbone.head)
    found = search(setup, searcher(setup, model, setup.budget), checkpointer, reporter)
    model.detach()
    return found
