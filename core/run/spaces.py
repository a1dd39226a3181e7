"""Search spaces: which deltas are candidates at which sites.

A space is a list of groups; a group maps a pattern of sites to deltas. Candidates are numbered group by group,
within a group in the order of the network's modules: the order of the paper's code.

A pattern names sites in one of three ways, with `*`, `?`, `[..]` and `{a,b}` as in a shell:
by canonical name (`attn.{q,v}`, `norm.*`), by name and place (`E*.attn.q`, `D{10,11}.ffn.in`), or by the end of a
module's path (`SelfAttention.q`, `encoder.block.3.layer.0.SelfAttention`).
"""

from __future__ import annotations

import fnmatch
import functools
import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

from core.run.deltas import DeltaSpec, parse_delta
from core.run.errors import SpecError, nearest, quoted
from core.run.original import read_original

# Limits on a pattern of sites, beyond what any network needs.
LONGEST_PATTERN = 2000  # characters
MOST_BRACES = 100  # pairs
MOST_ALTERNATIVES = 1000  # patterns that its braces expand to
_BRACES = re.compile(r"\{([^{}]*)\}")

Groups = tuple[dict[str, tuple[str, ...]], ...]

# Canonical site names, on every family. `block.*` is the output of a sub-layer before the residual is added;
# `attn.qkv` and `ffn.gate_in` are projections that a family has fused into one; `input` is the input of the network or
# of its encoder.
SITES = (
    "attn.q", "attn.k", "attn.v", "attn.o", "attn.qkv",
    "cross.q", "cross.k", "cross.v", "cross.o",
    "ffn.in", "ffn.gate", "ffn.out", "ffn.gate_in",
    "norm.attn", "norm.cross", "norm.ffn", "norm.final", "norm.q", "norm.k", "norm.attn_out", "norm.ffn_out",
    "block.attn", "block.cross", "block.ffn",
    "input", "head",
)  # fmt: skip

# The first parts of canonical names: `attn`, `cross`, ...
FAMILIES = tuple(dict.fromkeys(site.split(".")[0] for site in SITES))

_LINEAR = "{attn.{q,k,v,o,qkv},ffn.{in,gate,out,gate_in}}"

LIBRARY: dict[str, Groups] = {
    "mix-low-rank": (
        {_LINEAR: ("lora(rank=1)", "bitfit"), "norm.*": ("lnfit", "bitfit")},
        {"block.{attn,ffn}": ("low-rank-adapter",)},
    ),
    "lora-all-rank1": ({_LINEAR: ("lora(rank=1)",)},),
    "lora": ({"attn.{q,v,qkv}": ("lora",)},),
    "lora-mlp": ({"ffn.{in,gate,out,gate_in}": ("lora",)},),
    "lora-all": ({_LINEAR: ("lora",)},),
    "adapter": ({"block.{attn,ffn}": ("adapter",)},),
    "bitfit": ({_LINEAR: ("bitfit",), "norm.*": ("bitfit",), "head": ("bitfit",)},),
    "bitfit-v": ({"attn.{v,qkv}": ("bitfit",)},),
    "lnfit": ({"norm.*": ("lnfit",)},),
    "low-rank-adapter": ({"block.{attn,ffn}": ("low-rank-adapter",)},),
    "soft-prompt": ({"input": ("soft-prompt",)},),
    "prefix": ({"block.{attn,cross}": ("prefix",)},),
    "parallel-adapter": ({"block.ffn": ("parallel-adapter",)},),
    "compacter": ({"block.{attn,ffn}": ("compacter",)},),
    "ia3": ({"{attn.{k,v,qkv},cross.{k,v}}": ("ia3",), "ffn.out": ("ia3",)},),
    "bipeft-s1": (
        {_LINEAR: ("lora(rank=[1, 4, 8])", "bitfit"), "norm.*": ("lnfit", "bitfit")},
        {"block.{attn,ffn}": ("low-rank-adapter(rank=[1, 4, 8])",)},
    ),
    "bipeft-s2": (
        {
            "block.attn": ("prefix(length=[1, 4, 8])",),
            "block.ffn": ("adapter(bottleneck=[1, 4, 8])", "parallel-adapter(bottleneck=[1, 4, 8])"),
        },
    ),
    "none": (),
}


class SpaceSpec(BaseModel):
    """A search space: its groups define it, its name is for display."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    groups: Groups

    @field_validator("groups", mode="before")
    @classmethod
    def _canonical(cls, groups: Any) -> Any:
        """Rewrite every delta in its canonical syntax, so that equal spaces compare equal."""
        try:
            return tuple(
                {pattern: tuple(str(parse_delta(d)) for d in deltas) for pattern, deltas in group.items()}
                for group in groups
            )
        except (AttributeError, TypeError):
            raise ValueError("should be a list of tables, each of patterns with their lists of deltas") from None

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
    """A space from a table that maps patterns of sites to lists of deltas."""
    for pattern, deltas in table.items():
        if not isinstance(deltas, (list, tuple)) or not all(isinstance(d, str) for d in deltas):
            raise SpecError(f"space {name!r}, {pattern!r}", 'give a list of deltas, as in ["lora(rank=1)"]')
        check_pattern(pattern)
    return SpaceSpec(name=name, groups=(dict(table),))


def original_space(name: str, data: Any) -> SpaceSpec:
    """A space from a structure file of the paper's code."""
    return SpaceSpec(name=name, groups=read_original(name, data))


def check_pattern(pattern: str) -> None:
    """Raise SpecError for a pattern with a place, as `E3.attn.q`, or with an open brace, that names no canonical site.

    Any other may be the end of a module's path (`attn.Wqkv`), which only a model can tell: see `resembling`.
    """
    for plain in resembling(pattern):
        if "{" in plain or plain.removeprefix("*.") != _without_place(plain):
            raise no_site(plain)


def resembling(pattern: str) -> list[str]:
    """What the braces of a pattern expand to that resembles a canonical name and is none."""
    return [plain for plain in expand_braces(pattern) if not is_canonical(plain) and _resembles(plain)]


def no_site(plain: str, family: str = "") -> SpecError:
    """The error for a pattern that names no site, and no module of a model of this family."""
    more = f", and no module of {family} ends in it" if family else ""
    return SpecError(f"no site is called {plain!r}{more}", nearest(_without_place(plain), SITES))


def _resembles(plain: str) -> bool:
    family, _, rest = _without_place(plain).partition(".")
    return family in FAMILIES and "." not in rest


def expand_braces(pattern: str) -> list[str]:
    """Expand braces: `a.{b,c{d,e}}` to `a.b`, `a.cd`, `a.ce`; a pattern without braces to itself.

    Raises SpecError, before expanding, if the pattern is too long or expands to too many others.
    """
    if len(pattern) > LONGEST_PATTERN or pattern.count("{") > MOST_BRACES:
        many = f"at most {LONGEST_PATTERN:,} characters and {MOST_BRACES} pairs of braces"
        raise SpecError(f"the pattern {pattern[:30]!r}... is too long", f"it may have {many}")
    expanded = [pattern]
    while any(_BRACES.search(plain) for plain in expanded):
        expanded = list(dict.fromkeys(itertools.chain.from_iterable(map(_without_one_pair, expanded))))
        if len(expanded) > MOST_ALTERNATIVES:
            limit = f"braces may expand to at most {MOST_ALTERNATIVES:,} patterns"
            raise SpecError(f"the pattern {quoted(pattern)} expands to too many others", limit)
    return expanded


def _without_one_pair(pattern: str) -> list[str]:
    """The pattern with its first innermost pair of braces expanded."""
    match = _BRACES.search(pattern)
    if match is None:
        return [pattern]
    return [pattern[: match.start()] + choice.strip() + pattern[match.end() :] for choice in match[1].split(",")]


def matches(pattern: str, name: str, label: str, module: str) -> bool:
    """Whether a pattern matches this site: its canonical name, its label, or the end of its module's path.

    A pattern for canonical sites is not matched against paths: `block.*` should not match `encoder.block.0`.
    """
    return any(
        fnmatch.fnmatchcase(name, plain) or fnmatch.fnmatchcase(label, plain)
        if is_canonical(plain)
        else fnmatch.fnmatchcase(module, plain) or fnmatch.fnmatchcase(module, f"*.{plain}")
        for plain in expand_braces(pattern)
    )


@functools.lru_cache(maxsize=4096)
def is_canonical(plain: str) -> bool:
    """Whether a pattern without braces is for canonical sites, with or without a place."""
    return any(fnmatch.fnmatchcase(site, p) for site in SITES for p in (plain, _without_place(plain)))


def _without_place(plain: str) -> str:
    """`E*.attn.q` to `attn.q`; a pattern without a place to itself."""
    return re.sub(r"^(?:[ED*?]|\[[ED]+\])[0-9*?!\[\]-]*\.", "", plain)
