"""Chooses the structure that a run retrains, according to its method: searched, random, or given."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from core.model.gated import GatedModel
from core.run.errors import SpecError
from core.run.given import awaited
from core.run.spec import RunSpec
from core.run.structure import Candidate, Structure, choices_of, fill, random_selection, whole_space
from core.runtime.checkpointer import Checkpointer
from core.runtime.reporter import Reporter
from core.search.loop import Searcher, search
from core.search.methods.bipeft.searcher import Bipeft
from core.search.methods.s3 import S3
from core.training.setup import Setup

# The methods that search: each makes a searcher from the setup, the gated model and the budget.
METHODS: dict[str, Callable[[Setup, GatedModel, int], Searcher[Any]]] = {"s3": S3, "bipeft": Bipeft}


def find_structure(setup: Setup, checkpointer: Checkpointer, reporter: Reporter) -> Structure:
    """The structure of a run according to its method: searched, random, or given."""
    spec, budget = setup.spec, setup.budget
    candidates = tuple(p.candidate for p in setup.placed)
    counts, choices = [c.parameters for c in candidates], choices_of(candidates)
    if spec.method in METHODS and budget is not None:
        p, selected = _searched(setup, budget, checkpointer, reporter)
        return Structure(candidates, p, selected, budget, spec.model)
    if spec.method == "given":
        _check_given(spec, whole_space(candidates), budget)
    if spec.method == "random" and budget is not None:
        selected = random_selection(counts, budget, spec.seed, choices)
    else:
        selected = last_layers_first(candidates, budget)
    p = tuple(float(i in set(selected)) for i in range(len(candidates)))
    return Structure(candidates, p, selected, budget, spec.model)


def _check_given(spec: RunSpec, parameters: int, budget: int | None) -> None:
    """Raise SpecError unless a given structure is complete and within the budget."""
    source = awaited(spec)
    if source is not None:
        raise SpecError(f"the structure of {source} is not filled in", "let s3tui start this run after that one")
    if budget is not None and parameters > budget:
        raise SpecError(
            f"the structure of {spec.space.name} trains {parameters:,} parameters, the budget is {budget:,}",
            "raise the budget, or select again under it with s3tui structure reselect",
        )


def _searched(
    setup: Setup, budget: int, checkpointer: Checkpointer, reporter: Reporter
) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """p and the structure found by the search, or by an earlier attempt of it."""
    if checkpointer.resumed is not None and checkpointer.resumed.phase == "retrain":
        return tuple(checkpointer.resumed.facts["p"]), tuple(checkpointer.resumed.facts["selected"])
    model = GatedModel(setup.backbone.model, setup.placed, setup.backbone.head)
    found = search(setup, METHODS[setup.spec.method](setup, model, budget), checkpointer, reporter)
    model.detach()
    return found


def last_layers_first(candidates: tuple[Candidate, ...], budget: int | None) -> tuple[int, ...]:
    """The whole space, or if it exceeds the budget as much as fits, from the last layer down.

    Of alternatives the largest that fits.
    """
    counts, choices = [c.parameters for c in candidates], choices_of(candidates)
    depth = [(c.stack == "decoder", _layer(c)) for c in candidates]
    large_first = sorted(range(len(candidates)), key=lambda i: (choices[i], -counts[i]))
    order = sorted(large_first, key=lambda i: depth[i], reverse=True)
    return tuple(sorted(fill(order, counts, sum(counts) if budget is None else budget, choices)))


def _layer(candidate: Candidate) -> float:
    """The layer's number; candidates outside the layers (a final norm, a head) come after the last layer."""
    return math.inf if candidate.layer is None else candidate.layer
