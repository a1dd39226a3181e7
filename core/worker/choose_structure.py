"""Chooses the structure that a run retrains with the code of its method, a row of `core.run.methods`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from core.model.gated import GatedModel
from core.run.events import SearchTaken
from core.run.methods import METHODS
from core.run.plugins import resolve
from core.run.rundir import RunDir
from core.run.searched import Searched, search_of, source_of
from core.run.structure import Structure
from core.runtime.checkpointer import Checkpointer
from core.runtime.reporter import Reporter
from core.search.loop import search
from core.training.setup import Setup
from core.worker.shared_search import conditions, handed_over, keep, taken


@dataclass(frozen=True)
class Chosen:
    """What a run is to retrain.

    `weights` are tensors by their names in files: those that the search has learned for the structure, and the head's,
    or else what it has found for the start of retraining; empty where a checkpoint has newer ones. `shared` is the
    search of another run that was taken, or the weights of which were. `prunings_left`: those that the search left
    undone, None if it does not prune.
    """

    structure: Structure
    weights: Mapping[str, Tensor] = field(default_factory=dict)
    shared: Searched | None = None
    prunings_left: int | None = None


def find_structure(run: RunDir, setup: Setup, checkpointer: Checkpointer, reporter: Reporter) -> Chosen:
    """The structure of a run; raises SpecError if its method is from a package that cannot be imported."""
    row = METHODS[setup.spec.method]
    code = resolve(row.code, f"method {row.name!r}") if row.code else None
    if row.searches:
        return _searched(run, setup, code, checkpointer, reporter)
    selected = tuple(sorted(code(setup))) if code else ()
    chosen = set(selected)
    structure = _structure(setup, tuple(float(i in chosen) for i in range(len(setup.placed))), selected)
    if not row.is_given or setup.spec.retrain.start != "searched":
        return Chosen(structure)
    return _given(run, structure, checkpointer, reporter)


def _given(run: RunDir, structure: Structure, checkpointer: Checkpointer, reporter: Reporter) -> Chosen:
    """A given structure with the weights of the run that has found it."""
    if checkpointer.resumed is not None:
        return Chosen(structure, shared=source_of(run))
    searched, weights = handed_over(run)
    _report_taken(searched, reporter)
    return Chosen(structure, weights, searched)


def _structure(setup: Setup, p: tuple[float, ...], selected: tuple[int, ...]) -> Structure:
    candidates = tuple(placed.candidate for placed in setup.placed)
    return Structure(candidates, p, selected, setup.budget, setup.spec.model)


def _searched(run: RunDir, setup: Setup, code: Any, checkpointer: Checkpointer, reporter: Reporter) -> Chosen:
    """What the search has found: in an earlier attempt, in another run with the same search, or now."""
    resumed = checkpointer.resumed
    if resumed is not None and resumed.phase == "retrain":
        p, selected = tuple(resumed.facts["p"]), tuple(resumed.facts["selected"])
        found = search_of(run)
        left = None if found is None else found.prunings_left
        return Chosen(_structure(setup, p, selected), shared=source_of(run), prunings_left=left)
    if resumed is None and (shared := taken(run, setup)) is not None:
        searched, weights = shared
        _report_taken(searched, reporter)
        reporter.all_gates(searched.steps, list(searched.p), None if searched.order is None else list(searched.order))
        return Chosen(_structure(setup, searched.p, searched.selected), weights, searched, searched.prunings_left)
    return _search(run, setup, code, checkpointer, reporter)


def _report_taken(searched: Searched, reporter: Reporter) -> None:
    early = {"ended_early": searched.steps} if searched.ended_early else {}
    reporter.event(SearchTaken(searched.taken_from, searched.steps, searched.seconds), **early)


def _search(run: RunDir, setup: Setup, code: Any, checkpointer: Checkpointer, reporter: Reporter) -> Chosen:
    """Search, and keep what was found for runs that differ in retraining alone."""
    model = GatedModel(setup.backbone.model, setup.placed, setup.backbone.head)
    searcher = code(setup, model, setup.budget)
    state, p, selected = search(setup, searcher, checkpointer, reporter)
    order = searcher.order(state, p)
    learns = METHODS[setup.spec.method].learns
    weights = model.tensors_of(state.weights, selected) if learns else searcher.first_tensors(state, selected)
    model.detach()
    spent = checkpointer.stopwatch.seconds
    seconds = round(sum(spent.get(phase, 0.0) for phase in ("search", "cut")), 3)
    order = None if order is None else tuple(order)
    early = state.step < searcher.total_steps
    left = searcher.prunings_left(state)
    found = Searched(conditions(setup), p, selected, order, state.step, seconds, "", "", early, left)
    keep(run, found, weights, reporter)
    return Chosen(_structure(setup, p, selected), weights, prunings_left=left)
