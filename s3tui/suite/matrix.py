"""Expands a `matrix` into its combinations, and names the runs."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator
from pathlib import PurePath
from typing import Any

from core.run.methods import OWN_TABLES
from s3tui.suite.validate import TABLES
from s3tui.text.problems import unknown_key

Point = dict[tuple[str, ...], Any]
SETTINGS = ("search", *OWN_TABLES, "retrain")
VARIANT = "variant"  # the key of tables of settings, each with a name
EXAMPLE = '{ searched = {}, lora = { method = "fixed", space = "lora-q-v" } }'
MOST_RUNS = 10_000  # of a suite, and so of one matrix


def points(matrix: Any, report: Callable[[tuple[str, ...], str], None]) -> list[Point]:
    """Every combination of the matrix, the last key varying fastest; problems go to `report`."""
    if not isinstance(matrix, dict):
        report((), "should be a table of lists, as in { seed = [0, 1] }")
        return [{}]
    axes = {}
    for key, values in _axes(matrix):
        message = _wrong(key, values)
        if message:
            report((".".join(key),), message)
        else:
            axes[key] = values
    if math.prod(map(len, axes.values())) > MOST_RUNS:
        report((), f"multiplies out to more than {MOST_RUNS:,} runs, which is the most that a suite may have")
        return []
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def _axes(matrix: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Keys with their values; `search.clip` without quotes, which TOML reads as a table, is the same key."""
    for key, values in matrix.items():
        if key in SETTINGS and isinstance(values, dict):
            yield from (((key, inner), v) for inner, v in values.items())
        elif key == VARIANT:
            yield (key,), list(values) if isinstance(values, dict) else None
        else:
            yield tuple(key.split(".")), values


def _wrong(key: tuple[str, ...], values: Any) -> str:
    if key == (VARIANT,):
        return "" if values else f"should be a table of tables of settings, as in {EXAMPLE}"
    known = [VARIANT, "structure", *(k for k in TABLES[()].model_fields if k not in SETTINGS)]
    known += [f"{table}.{k}" for table in SETTINGS for k in TABLES[(table,)].model_fields]
    if ".".join(key) not in known:
        return unknown_key(".".join(key), known)
    if not isinstance(values, list) or not values:
        return "should be a list of one or more values"
    return ""


def written(point: Point) -> str:
    """A combination as part of a run's name, safe as the name of a folder: `seed=1,budget=0.0004`."""
    return ",".join(f"{'.'.join(key)}={_safe(value)}" for key, value in point.items())


def _safe(value: Any) -> str:
    if isinstance(value, dict):
        value = value.get("name") or PurePath(str(value.get("path"))).stem
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", text)
