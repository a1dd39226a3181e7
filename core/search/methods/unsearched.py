"""The methods without a search: a random structure, as much of the space as fits, a given structure."""

from __future__ import annotations

import math

from core.run.errors import SpecError
from core.run.given import awaited
from core.run.selection import fill, random_selection
from core.run.structure import Candidate, choices_of, whole_space
from core.training.setup import Setup


def at_random(setup: Setup) -> tuple[int, ...]:
    """Candidates in a random order, as many as fit into the budget."""
    candidates = _candidates(setup)
    counts = [c.parameters for c in candidates]
    return random_selection(counts, _room(setup, counts), setup.spec.seed, choices_of(candidates))


def last_layers_first(setup: Setup) -> tuple[int, ...]:
    """The whole space, or if it exceeds the budget as much as fits, from the last layer down.

    Of alternatives the largest that fits.
    """
    candidates = _candidates(setup)
    counts, choices = [c.parameters for c in candidates], choices_of(candidates)
    depth = [(c.stack == "decoder", _layer(c)) for c in candidates]
    large_first = sorted(range(len(candidates)), key=lambda i: (choices[i], -counts[i]))
    order = sorted(large_first, key=lambda i: depth[i], reverse=True)
    return tuple(sorted(fill(order, counts, _room(setup, counts), choices)))


def as_given(setup: Setup) -> tuple[int, ...]:
    """A given structure, unchanged; raises SpecError if it is not complete or exceeds the budget."""
    spec, budget, parameters = setup.spec, setup.budget, whole_space(_candidates(setup))
    source = awaited(spec)
    if source is not None:
        raise SpecError(f"the structure of {source} is not filled in", "let s3tui start this run after that one")
    if budget is not None and parameters > budget:
        raise SpecError(
            f"the structure of {spec.space.name} trains {parameters:,} parameters, the budget is {budget:,}",
            "raise the budget, or choose anew under it with s3tui structure reselect",
        )
    return last_layers_first(setup)


def _candidates(setup: Setup) -> list[Candidate]:
    return [placed.candidate for placed in setup.placed]


def _room(setup: Setup, counts: list[int]) -> int:
    """The largest number of parameters of a structure: the budget, or that of all candidates."""
    return sum(counts) if setup.budget is None else setup.budget


def _layer(candidate: Candidate) -> float:
    """The layer's number; candidates outside the layers (a final norm, a head) come after the last layer."""
    return math.inf if candidate.layer is None else candidate.layer
