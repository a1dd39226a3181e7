"""Which structure a run retrains, by its method: searched, drawn at random, or given."""

from __future__ import annotations

import math

from core.model.gated import GatedModel
from core.run.errors import SpecError
from core.run.given import awaited
from core.run.spec import RunSpec
from core.run.structure import Candidate, Structure, fill, random_selection, select
from core.search.keeper import Keeper
from core.search.loading import Setup
from core.search.reporter import Reporter
from core.search.searching import prepare, search


def find_structure(setup: Setup, keeper: Keeper, reporter: Reporter) -> Structure:
    """The structure of a run by its method: searched, drawn, or given."""
    spec, budget = setup.spec, setup.budget
    candidates = tuple(p.candidate for p in setup.placed)
    counts = [c.parameters for c in candidates]
    if spec.method == "s3" and budget is not None:
        p = _searched(setup, budget, keeper, reporter)
        return Structure(candidates, p, select(p, counts, budget, spec.search.selection), budget, spec.model)
    if spec.method == "given":
        _check_given(spec, sum(counts), budget)
    if spec.method == "random" and budget is not None:
        selected = random_selection(counts, budget, spec.seed)
    else:
        selected = last_layers_first(candidates, budget)
    p = tuple(float(i in set(selected)) for i in range(len(candidates)))
    return Structure(candidates, p, selected, budget, spec.model)


def _check_given(spec: RunSpec, parameters: int, budget: int | None) -> None:
    """A given structure is trained as it is, or not at all."""
    source = awaited(spec)
    if source is not None:
        raise SpecError(f"the structure of {source} is not filled in", "let s3tui start this run once that one is done")
    if budget is not None and parameters > budget:
        raise SpecError(
            f"the structure of {spec.space.name} trains {parameters:,} parameters, the budget is {budget:,}",
            "raise the budget, or choose anew under it with s3tui structure reselect",
        )


def _searched(setup: Setup, budget: int, keeper: Keeper, reporter: Reporter) -> tuple[float, ...]:
    """The gate probabilities that a search finds, or has found where the attempt goes on after it."""
    if keeper.resumed is not None and keeper.resumed.phase == "retrain":
        return tuple(keeper.resumed.facts["p"])
    model = GatedModel(setup.backbone.model, setup.placed, setup.backbone.head)
    problem = prepare(setup.spec, model, budget, len(setup.data.splits["train"]) // 2)
    p = search(setup, problem, keeper, reporter)
    model.detach()
    return p


def last_layers_first(candidates: tuple[Candidate, ...], budget: int | None) -> tuple[int, ...]:
    """The whole space, or where it exceeds the budget as much as fits, from the last layer down."""
    counts = [c.parameters for c in candidates]
    depth = [(c.stack == "decoder", _layer(c)) for c in candidates]
    order = sorted(range(len(candidates)), key=lambda i: depth[i], reverse=True)
    return tuple(sorted(fill(order, counts, sum(counts) if budget is None else budget)))


def _layer(candidate: Candidate) -> float:
    """The number of the layer; what lies outside the layers (a final normalisation, a head) comes after the last."""
    return math.inf if candidate.layer is None else candidate.layer
