"""The names of deltas and their arguments, as they are written: `lora(rank=1)`, `bitfit`, `lora(rank=[1, 2, 4])`.

A list is a choice: one candidate for each of its values, of which a structure has at most one.

Only the language lives here, so that settings are checked without torch; what a delta computes is in
`core.model.deltas`, a module for each name.
"""

from __future__ import annotations

import ast
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass

from core.run.errors import SpecError, nearest

# Arguments with their defaults; those of the paper's code, where it has the delta.
ARGUMENTS: dict[str, dict[str, int]] = {
    "lora": {"rank": 8, "alpha": 16},
    "bitfit": {},
    "lnfit": {},
    "adapter": {"bottleneck": 24},
    "low-rank-adapter": {"reduction": 32, "rank": 1},
    "parallel-adapter": {"bottleneck": 24},
    "compacter": {"reduction": 16, "division": 4, "rank": 1},
    "ia3": {},
    "prefix": {"length": 10},
    "soft-prompt": {"length": 100},
}

# The argument that may be a list: the smaller alternative is a part of the larger one.
LISTED = {
    "lora": "rank",
    "adapter": "bottleneck",
    "low-rank-adapter": "rank",
    "parallel-adapter": "bottleneck",
    "prefix": "length",
    "soft-prompt": "length",
}

# Of any argument: no module of a network is as wide.
MOST = 65_536
LONGEST = 1000  # characters of a delta as it is written

# What each is, in a sentence; the equations are with the code, in `core.model.deltas`.
ABOUT = {
    "lora": "A product of two thin matrices, scaled by `alpha / rank`, beside a linear layer.",
    "bitfit": "A bias on the output of any module.",
    "lnfit": "A change of the weight of a normalisation layer.",
    "adapter": "A bottleneck of so many features after a sub-layer or a linear layer.",
    "low-rank-adapter": "An adapter with a bottleneck of `width / reduction` features, its matrices products of "
    "thin ones of this rank.",
    "parallel-adapter": "A bottleneck of so many features beside a sub-layer or a linear layer.",
    "compacter": "An adapter with a bottleneck of `width / reduction` features, its matrices sums of `division` "
    "Kronecker products.",
    "ia3": "A factor for each feature: of keys, values, or what the last layer of a feed-forward reads.",
    "prefix": "So many keys and values that an attention sees before those of the text.",
    "soft-prompt": "So many learned vectors before the tokens that the network, or its encoder, reads.",
}


@dataclass(frozen=True)
class DeltaSpec:
    """A delta by name, with every argument that differs from its default; a choice where one is a list."""

    name: str
    arguments: tuple[tuple[str, int | tuple[int, ...]], ...] = ()

    def __getitem__(self, argument: str) -> int:
        """The value of an argument, given or default; the largest where it is a list."""
        value = dict(self.arguments).get(argument, ARGUMENTS[self.name][argument])
        return value[-1] if isinstance(value, tuple) else value

    def __str__(self) -> str:
        """The delta as it is written; equal deltas are written equally."""
        inside = ", ".join(f"{k}={list(v) if isinstance(v, tuple) else v}" for k, v in self.arguments)
        return f"{self.name}({inside})" if inside else self.name

    @property
    def alternatives(self) -> tuple[DeltaSpec, ...]:
        """One delta for each value of the list, in ascending order; the delta alone where nothing is a list."""
        for key, value in self.arguments:
            if isinstance(value, tuple):
                given = dict(self.arguments)
                return tuple(make_delta(self.name, given | {key: one}) for one in value)
        return (self,)


def parse_delta(text: str) -> DeltaSpec:
    """Read `name` or `name(key=value, ...)`; raises SpecError with what is wrong and what is near."""
    if len(text) > LONGEST:
        raise SpecError(f"the delta {text[:30]!r}... is too long", f"it may have at most {LONGEST:,} characters")
    name, _, rest = text.partition("(")
    name = name.strip()
    if name not in ARGUMENTS:
        raise SpecError(f"unknown delta {name!r}", nearest(name, ARGUMENTS))
    return make_delta(name, _arguments(text, rest) if rest else {})


def make_delta(name: str, arguments: Mapping[str, object]) -> DeltaSpec:
    """A delta with checked arguments, in the order of their definition, defaults left out."""
    defaults = ARGUMENTS[name]
    for key in arguments:
        if key not in defaults:
            known = f"known: {', '.join(defaults)}" if defaults else f"{name} takes none"
            raise SpecError(f"delta {name!r} has no argument {key!r}", known)
    given = ((k, _value(name, k, arguments[k])) for k in defaults if k in arguments)
    return DeltaSpec(name, tuple((k, v) for k, v in given if v != defaults[k]))


def _value(name: str, key: str, value: object) -> int | tuple[int, ...]:
    """A whole number, or for the argument that may be one a list of them, ascending and each once."""
    values = value if isinstance(value, list | tuple) else [value]
    shown = reprlib.repr(value)  # which may be nested as deeply as a file is
    if not values or not all(isinstance(v, int) and not isinstance(v, bool) and v >= 1 for v in values):
        raise SpecError(f"{name}({key}={shown})", f"{key} should be a whole number of 1 or more")
    if max(values) > MOST:
        raise SpecError(f"{name}({key}={shown})", f"{key} should be at most {MOST:,}")
    if len(values) > 1 and LISTED.get(name) != key:
        listed = f"of {name}, {LISTED[name]} may be one" if name in LISTED else f"{name} has no argument that may be"
        raise SpecError(f"{name}({key}={shown}) is a list of alternatives", listed)
    ascending = tuple(sorted(set(values)))
    return ascending if len(ascending) > 1 else ascending[0]


def _arguments(text: str, rest: str) -> dict[str, object]:
    """The keyword arguments of `name(...)`, literals only."""
    try:
        call = ast.parse(f"f({rest}", mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
            raise ValueError
        names = [k.arg for k in call.keywords]
        if None in names or len(set(names)) < len(names):
            raise ValueError
        return {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        raise SpecError(f"cannot read the delta {text[:60]!r}", "write it as in lora(rank=1)") from None
