"""Spaces of candidates: which deltas may stand at which sites.

A space is a list of groups; a group maps a pattern of sites to deltas. Candidates are numbered group by group,
within a group in the order of the network's modules: the order of the paper's code.

A pattern names sites in one of three ways, with `*`, `?`, `[..]` and `{a,b}` as in a shell:
by canonical name (`attn.{q,v}`, `norm.*`), by name and place (`E*.attn.q`, `D{10,11}.ffn.in`), or by the end of a
module's path (`SelfAttention.q`, `encoder.block.3.layer.0.SelfAttention`).
"""

from __future__ import annotations

import fnmatch
import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

from core.run.deltas import DeltaSpec, make_delta, parse_delta
from core.run.errors import SpecError, nearest

Groups = tuple[dict[str, tuple[str, ...]], ...]

# Canonical site names, on every family. `block.*` is the output of a sub-layer before the residual is added.
SITES = (
    "attn.q", "attn.k", "attn.v", "attn.o",
    "cross.q", "cross.k", "cross.v", "cross.o",
    "ffn.in", "ffn.gate", "ffn.out",
    "norm.attn", "norm.cross", "norm.ffn", "norm.final",
    "block.attn", "block.cross", "block.ffn",
    "head",
)  # fmt: skip

_LINEAR = "{attn.{q,k,v,o},ffn.{in,gate,out}}"

LIBRARY: dict[str, Groups] = {
    "mix-low-rank": (
        {_LINEAR: ("lora(rank=1)", "bitfit"), "norm.*": ("lnfit", "bitfit")},
        {"block.{attn,ffn}": ("low-rank-adapter",)},
    ),
    "lora-all-rank1": ({_LINEAR: ("lora(rank=1)",)},),
    "lora": ({"attn.{q,v}": ("lora",)},),
    "adapter": ({"block.{attn,ffn}": ("adapter",)},),
    "bitfit": ({_LINEAR: ("bitfit",), "norm.*": ("bitfit",), "head": ("bitfit",)},),
    "lnfit": ({"norm.*": ("lnfit",)},),
    "low-rank-adapter": ({"block.{attn,ffn}": ("low-rank-adapter",)},),
    "none": (),
}

# The original's names of deltas and of their arguments, to ours.
ORIGINAL_DELTAS = {
    "Lora": ("lora", {"lora_r": "rank", "lora_alpha": "alpha"}),
    "BitFitParallel": ("bitfit", {}),
    "BitFitSequential": ("bitfit", {}),
    "LNFit": ("lnfit", {}),
    "Adapter": ("adapter", {"bottleneck_dim": "bottleneck"}),
    "LowRankAdapter": ("low-rank-adapter", {"reduction_factor": "reduction", "low_rank_rank": "rank"}),
}


class SpaceSpec(BaseModel):
    """A space with the name under which a person knows it; the groups are what defines it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    groups: Groups

    @field_validator("groups", mode="before")
    @classmethod
    def _canonical(cls, groups: Any) -> Any:
        """Every delta written in its one canonical way, so that equal spaces compare equal."""
        return tuple(
            {pattern: tuple(str(parse_delta(d)) for d in deltas) for pattern, deltas in group.items()}
            for group in groups
        )

    def deltas(self) -> Iterator[tuple[int, str, DeltaSpec]]:
        """Every (group number, pattern, delta) of the space."""
        for number, group in enumerate(self.groups):
            for pattern, deltas in group.items():
                for delta in deltas:
                    yield number, pattern, parse_delta(delta)


def library_space(name: str) -> SpaceSpec:
    """A space of the library by its name."""
    if name not in LIBRARY:
        raise SpecError(f"unknown space {name!r}", nearest(name, LIBRARY))
    return SpaceSpec(name=name, groups=LIBRARY[name])


def inline_space(name: str, table: Mapping[str, Any]) -> SpaceSpec:
    """A space written as a table: pattern of sites to a list of deltas."""
    for pattern, deltas in table.items():
        if not isinstance(deltas, (list, tuple)) or not all(isinstance(d, str) for d in deltas):
            raise SpecError(f"space {name!r}, {pattern!r}", 'give a list of deltas, as in ["lora(rank=1)"]')
        check_pattern(pattern)
    return SpaceSpec(name=name, groups=(dict(table),))


def original_space(name: str, data: Any) -> SpaceSpec:
    """A space from a structure JSON of the paper's code: a list of {module: {insertion: {delta: arguments}}}."""
    groups = data if isinstance(data, list) else [data]
    return SpaceSpec(name=name, groups=tuple(_original_group(name, group) for group in groups))


def _original_group(name: str, group: Any) -> dict[str, tuple[str, ...]]:
    result = {}
    try:
        for module, insertions in group.items():
            # The original inserts what is parallel first; the order fixes the numbers of the candidates.
            parts = [insertions.get(where, {}) for where in ("parallel", "sequential")]
            deltas = tuple(str(_original_delta(d, arguments)) for part in parts for d, arguments in part.items())
            result[module] = deltas
    except AttributeError:
        raise SpecError(
            f"{name} is not a structure file of the original",
            'it should read [{"SelfAttention.q": {"parallel": {"Lora": {"lora_r": 1}}}}]',
        ) from None
    return result


def _original_delta(name: str, arguments: Mapping[str, Any]) -> DeltaSpec:
    if name not in ORIGINAL_DELTAS:
        raise SpecError(f"unknown delta {name!r} of the original", nearest(name, ORIGINAL_DELTAS))
    ours, renamed = ORIGINAL_DELTAS[name]
    for key in arguments:
        if key not in renamed:
            raise SpecError(f"unknown argument {key!r} of {name!r}", f"known: {', '.join(renamed) or 'none'}")
    return make_delta(ours, {renamed[k]: v for k, v in arguments.items()})


def check_pattern(pattern: str) -> None:
    """Refuse a pattern that looks like a canonical name but is none; module paths cannot be checked here."""
    for plain in expand_braces(pattern):
        place = re.match(r"^[ED*][0-9*?\[\]-]*\.", plain)
        name = plain[place.end() :] if place else plain
        family = name.split(".")[0]
        known_family = family in {s.split(".")[0] for s in SITES}
        if known_family and not any(fnmatch.fnmatchcase(s, name) for s in SITES):
            raise SpecError(f"no site is called {plain!r}", nearest(name, SITES))


def expand_braces(pattern: str) -> list[str]:
    """`a.{b,c{d,e}}` to `a.b`, `a.cd`, `a.ce`; a pattern without braces to itself."""
    match = re.search(r"\{([^{}]*)\}", pattern)
    if match is None:
        return [pattern]
    choices = (pattern[: match.start()] + c.strip() + pattern[match.end() :] for c in match[1].split(","))
    return list(dict.fromkeys(itertools.chain.from_iterable(expand_braces(c) for c in choices)))


def matches(pattern: str, name: str, label: str, module: str) -> bool:
    """Whether a pattern names this site: by canonical name, by label, or by the end of its module's path."""
    return any(
        fnmatch.fnmatchcase(name, plain)
        or fnmatch.fnmatchcase(label, plain)
        or fnmatch.fnmatchcase(module, plain)
        or fnmatch.fnmatchcase(module, f"*.{plain}")
        for plain in expand_braces(pattern)
    )
