"""Structure files of the paper's code: read as a space, written from a structure.

Such a file is a list of groups. A group maps modules, each named by the end of its path, to the deltas inserted there:
`[{"SelfAttention.q": {"parallel": {"Lora": {"lora_r": 1}}, "sequential": {"BitFitParallel": {}}}}]`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from core.run.deltas import OWN, DeltaSpec, Original, make_delta, parse_delta
from core.run.errors import SpecError, nearest
from core.run.structure import Candidate, Structure

# The original inserts parallel deltas first; the order determines the numbers of the candidates.
INSERTIONS = ("parallel", "sequential")


ORIGINALS: dict[str, Original] = {row.name: row.original for row in OWN if row.original is not None}


def read_original(name: str, data: Any) -> tuple[dict[str, tuple[str, ...]], ...]:
    """The groups of the space in a structure file of the paper's code; raises SpecError that names the file."""
    groups = data if isinstance(data, list) else [data]
    try:
        return tuple(
            {module: tuple(_read_deltas(module, insertions)) for module, insertions in group.items()}
            for group in groups
        )
    except SpecError as error:
        raise SpecError(f"{name}: {error.message}", error.hint) from None
    except (AttributeError, TypeError):
        raise SpecError(
            f"{name} is not a structure file of the original",
            'it should read [{"SelfAttention.q": {"parallel": {"Lora": {"lora_r": 1}}}}]',
        ) from None


def _read_deltas(module: str, insertions: Mapping[str, Any]) -> Iterator[str]:
    """The deltas of one module, in our syntax."""
    for insertion in insertions.keys() - set(INSERTIONS):
        raise SpecError(f"{module!r} has the unknown insertion {insertion!r}", nearest(insertion, INSERTIONS))
    for insertion in INSERTIONS:
        for theirs, arguments in insertions.get(insertion, {}).items():
            yield str(_read_delta(insertion, theirs, arguments))


def _read_delta(insertion: str, theirs: str, arguments: Mapping[str, Any]) -> DeltaSpec:
    ours = {original.name: ours for ours, original in ORIGINALS.items()}
    if theirs not in ours:
        raise SpecError(f"unknown delta {theirs!r} of the original", nearest(theirs, ours))
    original = ORIGINALS[ours[theirs]]
    if insertion != original.insertion:
        raise SpecError(f"{theirs!r} is inserted {insertion}", f"it can only be {original.insertion}")
    renamed = {their_key: our_key for our_key, their_key in original.arguments.items()}
    for key in arguments.keys() - renamed.keys():
        raise SpecError(f"unknown argument {key!r} of {theirs!r}", f"known: {', '.join(renamed) or 'none'}")
    return make_delta(ours[theirs], {renamed[k]: v for k, v in arguments.items()})


def to_original(structure: Structure) -> list[dict[str, Any]]:
    """The chosen candidates as a structure file of the paper's code, ready to be written as JSON.

    A module that contains others of the space comes in a later group than they do: the original finds modules by
    their paths, and wrapping a module hides those inside it. So there are as many groups as its own files have.
    """
    heights = _heights(c.module for c in structure.candidates)
    groups: list[dict[str, Any]] = [{} for _ in range(max(heights.values(), default=0) + 1)]
    for candidate in structure.chosen:
        _write(candidate, groups[heights[candidate.module]])
    return groups


def _write(candidate: Candidate, group: dict[str, Any]) -> None:
    """Add one candidate to its group; raises SpecError if the format cannot express it."""
    delta = parse_delta(candidate.delta)
    original = ORIGINALS.get(delta.name)
    if original is None:
        raise SpecError(f"the original has no {delta.name!r}", f"it stands at {candidate.module}")
    deltas = group.setdefault(candidate.module, {}).setdefault(original.insertion, {})
    if original.name in deltas:
        raise SpecError(
            f"{candidate.module} has more than one {delta.name!r}", "the original's files hold one of a kind"
        )
    deltas[original.name] = {original.arguments[key]: value for key, value in delta.arguments}


def _heights(modules: Iterable[str]) -> dict[str, int]:
    """For each module, the depth of nesting of the other modules inside it."""
    heights = dict.fromkeys(modules, 0)
    for module in sorted(heights, key=lambda path: -path.count(".")):
        parts = module.split(".")
        for outer in (".".join(parts[:n]) for n in range(1, len(parts))):
            if outer in heights:
                heights[outer] = max(heights[outer], heights[module] + 1)
    return heights
