"""The methods without a search: a random structure, as much of the space as fits, a given structure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from core.run.errors import SpecError
from core.run.given import awaited
from core.run.selection import even_order, fill, random_selection
from core.run.structure import Candidate, choices_of, whole_space
from core.training.setup import Setup


def at_random(setup: Setup) -> tuple[int, ...]:
    """Candidates in a random order, as many as fit into the budget."""
    candidates = _candidates(setup)
    counts = [c.parameters for c in candidates]
    return random_selection(counts, _room(setup, counts), setup.spec.seed, choices_of(candidates))


def in_order(setup: Setup) -> tuple[int, ...]:
    """The whole space, or if it exceeds the budget as much as fits, in the order that `fixed.order` names."""
    candidates = _candidates(setup)
    room = _room(setup, [c.parameters for c in candidates])
    order = {"last": last_layers_first, "even": evenly}[setup.spec.fixed.order]
    return tuple(sorted(order(candidates, room)))


def evenly(candidates: Sequence[Candidate], room: int) -> list[int]:
    """Within `room` parameters, the same number of candidates in each layer, up to one.

    Of alternatives all modules have the largest ones that fit if all do, or the smallest if these do not fit either.
    """
    choices = choices_of(candidates)
    for level in range(max(map(len, alternatives := _by_size(candidates, choices)), default=0), 0, -1):
        taken = [same[min(level, len(same)) - 1] for same in alternatives]
        if level == 1 or sum(candidates[i].parameters for i in taken) <= room:
            order = even_order([(candidates[i].stack, candidates[i].layer) for i in taken])
            return fill([taken[i] for i in order], [c.parameters for c in candidates], room)
    return []


def _by_size(candidates: Sequence[Candidate], choices: Sequence[int]) -> list[list[int]]:
    """The alternatives of each module, from the smallest one up."""
    found: dict[int, list[int]] = {}
    for i, choice in enumerate(choices):
        found.setdefault(choice, []).append(i)
    return [sorted(same, key=lambda i: candidates[i].parameters) for same in found.values()]


def last_layers_first(candidates: Sequence[Candidate], room: int) -> list[int]:
    """As much as fits into `room` parameters, from the last layer down; of alternatives the largest that fits."""
    counts, choices = [c.parameters for c in candidates], choices_of(candidates)
    depth = [(c.stack == "decoder", _layer(c)) for c in candidates]
    large_first = sorted(range(len(candidates)), key=lambda i: (choices[i], -counts[i]))
    order = sorted(large_first, key=lambda i: depth[i], reverse=True)
    return fill(order, counts, room, choices)


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
    return tuple(sorted(last_layers_first(_candidates(setup), parameters)))


def _candidates(setup: Setup) -> list[Candidate]:
    return [placed.candidate for placed in setup.placed]


def _room(setup: Setup, counts: list[int]) -> int:
    """The largest number of parameters of a structure: the budget, or that of all candidates."""
    return sum(counts) if setup.budget is None else setup.budget


def _layer(candidate: Candidate) -> float:
    """The layer's number; candidates outside the layers (a final norm, a head) come after the last layer."""
    return math.inf if candidate.layer is None else candidate.layer
