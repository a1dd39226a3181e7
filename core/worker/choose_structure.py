"""Which structure a run retrains: what its method, a row of `core.run.methods`, searches or chooses."""

from __future__ import annotations

from typing import Any

from core.model.gated import GatedModel
from core.run.methods import METHODS
from core.run.plugins import resolve
from core.run.structure import Structure
from core.runtime.checkpointer import Keeper
from core.runtime.reporter import Reporter
from core.search.loop import search
from core.training.setup import Setup


def find_structure(setup: Setup, keeper: Keeper, reporter: Reporter) -> Structure:
    """The structure of a run; raises SpecError where its method comes from a package that cannot be imported."""
    row = METHODS[setup.spec.method]
    candidates = tuple(placed.candidate for placed in setup.placed)
    code = resolve(row.code, f"method {row.name!r}") if row.code else None
    if row.searches:
        p, selected = _searched(setup, code, keeper, reporter)
    else:
        selected = tuple(sorted(code(setup))) if code else ()
        chosen = set(selected)
        p = tuple(float(i in chosen) for i in range(len(candidates)))
    return Structure(candidates, p, selected, setup.budget, setup.spec.model)


def _searched(
    setup: Setup, searcher: Any, keeper: Keeper, reporter: Reporter
) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """p and the structure that a search finds, or has found where the attempt goes on after it."""
    if keeper.resumed is not None and keeper.resumed.phase == "retrain":
        return tuple(keeper.resumed.facts["p"]), tuple(keeper.resumed.facts["selected"])
    model = GatedModel(setup.backbone.model, setup.placed, setup.backbone.head)
    found = search(setup, searcher(setup, model, setup.budget), keeper, reporter)
    model.detach()
    return found
