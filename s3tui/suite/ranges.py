"""Ranges of settings from which the arms of a race are drawn, `{ low = 1e-3, high = 1e-2, log = true }`, by Optuna."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from core.run.errors import SpecError
from s3tui.suite.matrix import SETTINGS, Point
from s3tui.suite.validate import TABLES

Range = Mapping[str, Any]
Ranges = dict[tuple[str, ...], Range]
DIGITS = 3  # significant ones of a drawn number, so that it can be read in the name of a run
TRIES = 100  # to draw values that no other arm of the same point has
NO_RANGE = ("task", *SETTINGS)  # of the settings those whose values are tables anyway

Report = Callable[[tuple[str, ...], str], None]


def taken_out(table: Mapping[str, Any], report: Report) -> tuple[Ranges, dict[str, Any]]:
    """The ranges of an experiment, and its table without them; faulty ones are reported."""
    ranges: Ranges = {}
    rest = dict(table)
    for name, value in table.items():
        if name in SETTINGS and isinstance(value, dict):
            inner = {key: v for key, v in value.items() if isinstance(v, dict)}
            ranges |= {(name, key): v for key, v in inner.items()}
            rest[name] = {key: v for key, v in value.items() if key not in inner}
        elif name in TABLES[()].model_fields and name not in NO_RANGE and isinstance(value, dict):
            ranges[name,] = rest.pop(name)
    wrong = {key: message for key, value in ranges.items() if (message := _wrong(value))}
    for key, message in wrong.items():
        report(key, message)
    return {key: value for key, value in ranges.items() if key not in wrong}, rest


def _wrong(value: Range) -> str:
    example = "{ low = 1e-3, high = 1e-2, log = true } or { choice = [1, 2] }"
    if value.keys() == {"choice"}:
        choice = value["choice"]
        scalar = isinstance(choice, list) and all(isinstance(v, (str, bool, int, float)) for v in choice)
        return "" if scalar and len(choice) > 1 else "choice should be a list of two or more values"
    if not {"low", "high"} <= value.keys() <= {"low", "high", "log"}:
        return f"should be a range, as in {example}"
    low, high, log = value["low"], value["high"], value.get("log", False)
    numbers = all(type(v) in (int, float) and math.isfinite(v) for v in (low, high))
    if not numbers or low >= high or type(log) is not bool:
        return f"should be a range with low below high, as in {example}"
    return "low should be above 0 with log = true" if log and low <= 0 else ""


def as_text(ranges: Ranges) -> str:
    """The ranges as JSON, the same for the same ranges."""
    return json.dumps([[list(key), dict(value)] for key, value in ranges.items()]) if ranges else ""


def draw(ranges: Ranges, points: int, arms: int, known: Sequence[Mapping[str, Any]] = ()) -> list[Point]:
    """The drawn values of each arm; arm i is of the point i mod `points` of the matrix.

    Each point has a sequence of its own, in which values spread evenly (Sobol, scrambled). What is `known` of the first
    arms stays. Raises SpecError where Optuna is missing, or where there are not enough different values.
    """
    sequences = [_sequence(ranges, point) for point in range(min(points, arms))]
    drawn = [next(sequences[i % points]) for i in range(arms)]
    kept = [{tuple(key.split(".")): value for key, value in values.items()} for values in known[:arms]]
    drawn = kept + drawn[len(kept) :]
    for point in range(points):
        of_point = [json.dumps(list(values.values())) for values in drawn[point::points]]
        if len(set(of_point)) < len(of_point):
            raise SpecError("the ranges have fewer different values than arms", "lower arms, or widen a range")
    return drawn


def as_keys(values: Point) -> dict[str, Any]:
    """Drawn values by keys as they are written in a suite."""
    return {".".join(key): value for key, value in values.items()}


def _sequence(ranges: Ranges, seed: int) -> Iterator[Point]:
    """The values that one point of the matrix gets, without an end: a pure function of the ranges and the point."""
    optuna = _optuna()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the sampler is called experimental; a race keeps what it has drawn
        sampler = optuna.samplers.QMCSampler(scramble=True, seed=seed, warn_independent_sampling=False)
    study = optuna.create_study(sampler=sampler)
    distributions = {".".join(key): _distribution(optuna, value) for key, value in ranges.items()}
    seen: set[str] = set()
    while True:
        for _ in range(TRIES):
            values = study.ask(distributions).params
            point: Point = {key: _rounded(values[".".join(key)], value) for key, value in ranges.items()}
            if json.dumps(list(point.values())) not in seen:
                break
        seen.add(json.dumps(list(point.values())))
        yield point


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise SpecError("ranges need Optuna, which is not installed", "pip install 's3tui[race]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _distribution(optuna: Any, value: Range) -> Any:
    kinds = optuna.distributions
    if "choice" in value:
        return kinds.CategoricalDistribution(value["choice"])
    whole = type(value["low"]) is int and type(value["high"]) is int
    kind = kinds.IntDistribution if whole else kinds.FloatDistribution
    return kind(value["low"], value["high"], log=value.get("log", False))


def _rounded(drawn: Any, value: Range) -> Any:
    if not isinstance(drawn, float) or "choice" in value:
        return drawn
    return min(max(float(f"{drawn:.{DIGITS}g}"), float(value["low"])), float(value["high"]))
