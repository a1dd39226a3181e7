"""The names of deltas and their arguments, as they are written: `lora(rank=1)`, `bitfit`, `adapter`.

Only the language lives here, so that settings are checked without torch; what a delta computes is in
`core.model.deltas`, a module for each name.
"""

from __future__ import annotations

import ast
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
}


# What each is, in a sentence; the equations are with the code, in `core.model.deltas`.
ABOUT = {
    "lora": "A product of two thin matrices, scaled by `alpha / rank`, beside a linear layer.",
    "bitfit": "A bias on the output of any module.",
    "lnfit": "A change of the weight of a normalisation layer.",
    "adapter": "A bottleneck of so many features after a sub-layer or a linear layer.",
    "low-rank-adapter": "An adapter with a bottleneck of `width / reduction` features, its matrices products of "
    "thin ones of this rank.",
}


@dataclass(frozen=True)
class DeltaSpec:
    """A delta by name, with every argument that differs from its default."""

    name: str
    arguments: tuple[tuple[str, int], ...] = ()

    def __getitem__(self, argument: str) -> int:
        """The value of an argument, given or default."""
        return dict(self.arguments).get(argument, ARGUMENTS[self.name][argument])

    def __str__(self) -> str:
        """The delta as it is written; equal deltas are written equally."""
        inside = ", ".join(f"{k}={v}" for k, v in self.arguments)
        return f"{self.name}({inside})" if inside else self.name


def parse_delta(text: str) -> DeltaSpec:
    """Read `name` or `name(key=value, ...)`; raises SpecError with what is wrong and what is near."""
    name, _, rest = text.partition("(")
    name = name.strip()
    if name not in ARGUMENTS:
        raise SpecError(f"unknown delta {name!r}", nearest(name, ARGUMENTS))
    return make_delta(name, _arguments(text, rest) if rest else {})


def make_delta(name: str, arguments: Mapping[str, object]) -> DeltaSpec:
    """A delta with checked arguments, in the order of their definition, defaults left out."""
    defaults = ARGUMENTS[name]
    for key, value in arguments.items():
        if key not in defaults:
            known = f"known: {', '.join(defaults)}" if defaults else f"{name} takes none"
            raise SpecError(f"delta {name!r} has no argument {key!r}", known)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise SpecError(f"{name}({key}={value!r})", f"{key} should be a whole number of 1 or more")
    given = ((k, int(str(arguments[k]))) for k in defaults if k in arguments)
    return DeltaSpec(name, tuple((k, v) for k, v in given if v != defaults[k]))


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
        raise SpecError(f"cannot read the delta {text!r}", "write it as in lora(rank=1)") from None
