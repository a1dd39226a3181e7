"""Merges the settings of a run from its layers (defaults, experiment, variant, matrix), and finds which set a key."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any

from s3tui.suite.matrix import SETTINGS, VARIANT, Point
from s3tui.suite.validate import MISSING, Errors, Loc
from s3tui.text.problems import Key

Table = dict[str, Any]


@dataclass(frozen=True)
class Defaults:
    """The `[defaults]` table, its own errors, and the keys that any experiment overrides."""

    table: Table
    errors: Errors = field(default_factory=list)
    overridden: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Layers:
    """Where the settings of one run come from; `variant` are those of the variant that the point names."""

    experiment: str
    defaults: Defaults
    overrides: Table
    point: Point
    variant: Table = field(default_factory=dict)

    def merged(self) -> Table:
        """The settings of the run: later layers win, `search` and `retrain` key by key."""
        point: Table = {}
        for key, value in self.point.items():
            if len(key) > 1:
                point.setdefault(key[0], {})[key[1]] = value
            elif key != (VARIANT,):
                point[key[0]] = value
        return functools.reduce(_over, (self.overrides, self.variant, point), self.defaults.table)

    def locate(self, loc: Loc, message: str) -> Key:
        """The key of the file that causes an error at `loc` of the merged settings."""
        own: Key = ("experiment", self.experiment)
        for key in (loc[:2], loc[:1]):
            if key in self.point:
                return (*own, "matrix", ".".join(map(str, key)), *loc[len(key) :])
        if _gives(self.variant, loc):
            return (*own, "matrix", VARIANT, self.point[VARIANT,], *loc)
        if _gives(self.overrides, loc):
            return (*own, *loc)
        if _gives(self.defaults.table, loc) or self._is_inherited(loc, message):
            return ("defaults", *loc)
        return (*own, *loc)

    def _is_inherited(self, loc: Loc, message: str) -> bool:
        """Whether an error of a whole table, or of a missing key, is already in the defaults alone."""
        if message.startswith(MISSING) and len(loc) == 1:
            return bool(self.defaults.table) and loc[0] not in self.defaults.overridden
        chose_method = not loc and any("method" in layer for layer in (self.overrides, self.variant, *self.point))
        return (loc, message) in self.defaults.errors and not chose_method


def _over(base: Table, top: Table) -> Table:
    """`base` updated with the keys of `top`."""
    merged = dict(base)
    for key, value in top.items():
        both = key in SETTINGS and isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _training_over(base[key], value) if both else value
    return merged


def _training_over(base: Table, top: Table) -> Table:
    """The same for `search` or `retrain`; a length given in epochs replaces one in steps, and the reverse."""
    lengths = {"max_steps", "epochs"}
    replaced = lengths - top.keys() if lengths & top.keys() else set()
    return {k: v for k, v in base.items() if k not in replaced} | top


def _gives(table: Table, loc: Loc) -> bool:
    """Whether this layer alone gives the value at `loc`; the layers share only the tables of `SETTINGS`."""
    if not loc or loc[0] not in table:
        return False
    inner = table[str(loc[0])]
    if loc[0] not in SETTINGS or not isinstance(inner, dict):
        return True
    return len(loc) > 1 and loc[1] in inner
