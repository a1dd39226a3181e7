"""Which structure a run retrains, by its method: searched, drawn at random, or given."""

from __future__ import annotations

import math

from core.model.backbone import Backbone
from core.model.gated import GatedModel
from core.model.space import Placed
from core.run.errors import SpecError
from core.run.events import Phase
from core.run.spec import RunSpec
from core.run.structure import Candidate, Structure, random_selection, select
from core.search.data import Data
from core.search.reporter import Reporter
from core.search.searching import prepare, search


def check_budget(spec: RunSpec, placed: list[Placed], backbone_parameters: int) -> int | None:
    """The budget in parameters; raises SpecError where no structure, or every one, would be under it."""
    budget = spec.parameter_budget(backbone_parameters)
    if budget is None or not placed:
        return budget
    counts = [p.candidate.parameters for p in placed]
    if budget < min(counts):
        raise SpecError(
            f"the budget of {budget:,} parameters is below the smallest candidate ({min(counts):,})",
            f"raise it, to {min(counts) / backbone_parameters:.1e} of the backbone or more",
        )
    if budget > sum(counts) and spec.method in ("s3", "random"):
        raise SpecError(
            f"the budget of {budget:,} parameters is above the whole space ({sum(counts):,})",
            "lower it, or train the whole space with method = 'fixed'",
        )
    return budget


def find_structure(
    spec: RunSpec, placed: list[Placed], budget: int | None, backbone: Backbone, data: Data, reporter: Reporter
) -> Structure:
    """The structure of a run by its method: searched, drawn, or given."""
    candidates = tuple(p.candidate for p in placed)
    counts = [c.parameters for c in candidates]
    if spec.method == "s3" and budget is not None:
        model = GatedModel(backbone.model, placed, backbone.head)
        problem = prepare(spec, model, budget, len(data.splits["train"]) // 2)
        total = problem.total_steps
        reporter.event(Phase("search", total), phase="search", step=0, total=total)
        structure = search(spec, problem, backbone, data, reporter)
        model.detach()
        return structure
    if spec.method == "random" and budget is not None:
        selected = random_selection(counts, budget, spec.seed)
    else:
        selected = last_layers_first(candidates, budget)
    p = tuple(float(i in set(selected)) for i in range(len(candidates)))
    return Structure(candidates, p, selected, budget, spec.model)


def last_layers_first(candidates: tuple[Candidate, ...], budget: int | None) -> tuple[int, ...]:
    """The whole space, or where it exceeds the budget as much as fits, from the last layer down."""
    counts = [c.parameters for c in candidates]
    depth = [(c.stack == "decoder", _layer(c)) for c in candidates]
    order = sorted(range(len(candidates)), key=lambda i: depth[i], reverse=True)
    rank = {i: -float(position) for position, i in enumerate(order)}
    limit = sum(counts) if budget is None else budget
    return select([rank[i] for i in range(len(candidates))], counts, limit, "first-fit")


def _layer(candidate: Candidate) -> float:
    """The number of the layer; what lies outside the layers (a final normalisation, a head) comes after the last."""
    return math.inf if candidate.layer is None else candidate.layer
