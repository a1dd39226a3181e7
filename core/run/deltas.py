"""The table of deltas, and the syntax in which they are written: `lora(rank=1)`, `bitfit`, `lora(rank=[1, 2, 4])`.

A list stands for alternatives: one candidate for each value, at most one of which is in a structure.

This module does not need torch; the class that a row names implements the delta and states its equation.
"""

from __future__ import annotations

import ast
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from core.run.errors import SpecError, nearest
from core.run.plugins import Registry

# The upper bound of any argument unless its row sets a lower one; no module of a network is as wide.
MOST = 65_536
LONGEST = 1000  # characters of a written delta


@dataclass(frozen=True)
class Argument:
    """An integer argument of a delta: its default and its bounds.

    A `listed` argument may be a list of alternatives; a delta has at most one such argument, and the weights of a
    smaller alternative are part of those of a larger one.
    """

    default: int
    listed: bool = False
    least: int = 1
    most: int = MOST

    @property
    def bounds(self) -> str:
        """The accepted numbers, in words."""
        return f"of {self.least} or more" if self.most == MOST else f"of {self.least} to {self.most:,}"

    def takes(self, value: object) -> bool:
        """Whether the value is an integer within the bounds."""
        if not isinstance(value, int) or isinstance(value, bool):
            return False
        return self.least <= value <= self.most


@dataclass(frozen=True)
class Original:
    """A delta in the structure files of the paper's code: its name, its insertion, and our argument names to theirs."""

    name: str
    insertion: Literal["parallel", "sequential"]
    arguments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DeltaRow:
    """A delta: `code` names its class as `module:class`, `about` describes it in a sentence.

    `short` is the label on maps of a network, as papers write it; by default the name. `original` is its form in files
    of the paper's code, None if those have no such delta.
    """

    name: str
    code: str
    about: str
    arguments: Mapping[str, Argument] = field(default_factory=dict)
    short: str = ""
    original: Original | None = None

    @property
    def listed(self) -> str:
        """The argument that may be a list; empty if none may."""
        return next((key for key, argument in self.arguments.items() if argument.listed), "")


# Defaults are those of the paper's code if it has the delta.
OWN = (
    DeltaRow(
        "lora",
        "core.model.deltas.lora:LoRA",
        "A product of two thin matrices, scaled by `alpha / rank`, beside a linear layer.",
        {"rank": Argument(8, listed=True), "alpha": Argument(16)},
        "LoRA",
        Original("Lora", "parallel", {"rank": "lora_r", "alpha": "lora_alpha"}),
    ),
    DeltaRow(
        "bitfit",
        "core.model.deltas.bitfit:BitFit",
        "A bias on the output of any module.",
        short="BitFit",
        original=Original("BitFitParallel", "sequential"),
    ),
    DeltaRow(
        "lnfit",
        "core.model.deltas.lnfit:LNFit",
        "A change of the weight of a normalisation layer.",
        short="LNFit",
        original=Original("LNFit", "parallel"),
    ),
    DeltaRow(
        "adapter",
        "core.model.deltas.adapter:Adapter",
        "A bottleneck of so many features after a sub-layer or a linear layer.",
        {"bottleneck": Argument(24, listed=True)},
        "Adapter",
        Original("Adapter", "sequential", {"bottleneck": "bottleneck_dim"}),
    ),
    DeltaRow(
        "low-rank-adapter",
        "core.model.deltas.low_rank_adapter:LowRankAdapter",
        "An adapter with a bottleneck of `width / reduction` features, its matrices products of thin ones of this "
        "rank.",
        {"reduction": Argument(32), "rank": Argument(1, listed=True)},
        "LR-Adapter",
        Original("LowRankAdapter", "sequential", {"reduction": "reduction_factor", "rank": "low_rank_rank"}),
    ),
    DeltaRow(
        "parallel-adapter",
        "core.model.deltas.parallel_adapter:ParallelAdapter",
        "A bottleneck of so many features beside a sub-layer or a linear layer.",
        {"bottleneck": Argument(24, listed=True)},
    ),
    DeltaRow(
        "compacter",
        "core.model.deltas.compacter:Compacter",
        "An adapter with a bottleneck of `width / reduction` features, its matrices sums of `division` Kronecker "
        "products.",
        {"reduction": Argument(16), "division": Argument(4), "rank": Argument(1)},
        original=Original(
            "Compacter",
            "sequential",
            {"reduction": "reduction_factor", "division": "hypercomplex_division", "rank": "phm_rank"},
        ),
    ),
    DeltaRow(
        "ia3",
        "core.model.deltas.ia3:IA3",
        "A factor for each feature: of keys, values, or what the last layer of a feed-forward reads.",
    ),
    DeltaRow(
        "prefix",
        "core.model.deltas.prefix:Prefix",
        "So many keys and values that an attention sees before those of the text.",
        {"length": Argument(10, listed=True)},
    ),
    DeltaRow(
        "soft-prompt",
        "core.model.deltas.soft_prompt:SoftPrompt",
        "So many learned vectors before the tokens that the network, or its encoder, reads.",
        {"length": Argument(100, listed=True)},
        original=Original("SoftPrompt", "sequential", {"length": "soft_token_num"}),
    ),
)

DELTAS = Registry("deltas", DeltaRow, {row.name: row for row in OWN})


@dataclass(frozen=True)
class DeltaSpec:
    """A delta's name with the arguments that differ from their defaults; a tuple is a list of alternatives."""

    name: str
    arguments: tuple[tuple[str, int | tuple[int, ...]], ...] = ()

    def __getitem__(self, argument: str) -> int:
        """The value of an argument, given or default; the largest one of a list."""
        value = dict(self.arguments).get(argument, DELTAS[self.name].arguments[argument].default)
        return value[-1] if isinstance(value, tuple) else value

    def __str__(self) -> str:
        """The delta in its canonical syntax; equal deltas give equal strings."""
        inside = ", ".join(f"{k}={list(v) if isinstance(v, tuple) else v}" for k, v in self.arguments)
        return f"{self.name}({inside})" if inside else self.name

    @property
    def alternatives(self) -> tuple[DeltaSpec, ...]:
        """One delta for each value of the list, in ascending order; the delta itself if no argument is a list."""
        for key, value in self.arguments:
            if isinstance(value, tuple):
                given = dict(self.arguments)
                return tuple(make_delta(self.name, given | {key: one}) for one in value)
        return (self,)


def parse_delta(text: str) -> DeltaSpec:
    """Parse `name` or `name(key=value, ...)`; raises SpecError that names the fault and the nearest known name."""
    if len(text) > LONGEST:
        raise SpecError(f"the delta {text[:30]!r}... is too long", f"it may have at most {LONGEST:,} characters")
    name, _, rest = text.partition("(")
    name = name.strip()
    if name not in DELTAS:
        raise SpecError(f"unknown delta {name!r}", nearest(name, DELTAS))
    return make_delta(name, _arguments(text, rest) if rest else {})


def make_delta(name: str, arguments: Mapping[str, object]) -> DeltaSpec:
    """A delta with validated arguments, in the order of their definition and without defaults."""
    row = DELTAS[name]
    for key in arguments:
        if key not in row.arguments:
            known = f"known: {', '.join(row.arguments)}" if row.arguments else f"{name} takes none"
            raise SpecError(f"delta {name!r} has no argument {key!r}", known)
    given = ((k, _value(row, k, arguments[k])) for k in row.arguments if k in arguments)
    return DeltaSpec(name, tuple((k, v) for k, v in given if v != row.arguments[k].default))


def _value(row: DeltaRow, key: str, value: object) -> int | tuple[int, ...]:
    """A validated integer, or for the `listed` argument the distinct values of a list in ascending order."""
    values = value if isinstance(value, list | tuple) else [value]
    argument, name = row.arguments[key], row.name
    shown = reprlib.repr(value)  # limits the depth too: a value from a file may be deeply nested
    if not values or not all(map(argument.takes, values)):
        large = any(isinstance(v, int) and v > argument.most for v in values)
        rule = f"should be at most {argument.most:,}" if large else f"should be a whole number {argument.bounds}"
        raise SpecError(f"{name}({key}={shown})", f"{key} {rule}")
    if len(values) > 1 and not argument.listed:
        listed = f"of {name}, {row.listed} may be one" if row.listed else f"{name} has no argument that may be"
        raise SpecError(f"{name}({key}={shown}) is a list of alternatives", listed)
    ascending = tuple(sorted(set(values)))
    return ascending if len(ascending) > 1 else ascending[0]


def _arguments(text: str, rest: str) -> dict[str, object]:
    """The keyword arguments of `name(...)`; only literals are allowed."""
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
