"""Ranges of settings from which the arms of a race are drawn, `{ low = 1e-3, high = 1e-2, log = true }`, by Optuna.

The first arms spread evenly. For arms that come later Optuna is told how the earlier ones did, and asked where to go
on. Of Optuna nothing is kept: its study is built anew each time, from the arms in their order.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.run.errors import RunDirError, SpecError
from s3tui.suite.matrix import SETTINGS, Point
from s3tui.suite.validate import TABLES

Range = Mapping[str, Any]
Ranges = dict[tuple[str, ...], Range]
DIGITS = 3  # significant ones of a drawn number, so that it can be read in the name of a run
TRIES = 100  # to draw values that no other arm of the same point has
NO_RANGE = ("task", *SETTINGS)  # of the settings those whose values are tables anyway

Report = Callable[[tuple[str, ...], str], None]


@dataclass(frozen=True)
class Tried:
    """How an arm with these drawn values did, by the dotted names of settings.

    `scores` are its best validation scores up to each rung; it is `done` at the last one. One that `failed` counts as
    worse than all others.
    """

    values: Mapping[str, Any]
    scores: Mapping[int, float] = field(default_factory=dict)
    done: bool = False
    failed: bool = False


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


def of_text(text: str) -> Ranges:
    """The ranges of `as_text`; raises RunDirError if they are damaged."""
    try:
        found = {tuple(key): value for key, value in json.loads(text)} if text else {}
        damaged = any(map(_wrong, found.values()))
    except (ValueError, TypeError, AttributeError):
        damaged = True
    if damaged:
        raise RunDirError("the ranges of the race are damaged", "s3tui run FILE --fresh begins it anew")
    return found


def draw(
    ranges: Ranges,
    points: int,
    arms: int,
    known: Sequence[Mapping[str, Any]] = (),
    tried: Callable[[], Sequence[Tried]] = tuple,
) -> list[Point]:
    """The drawn values of each arm; arm i is of the point i mod `points` of the matrix.

    What is `known` of the first arms stays. The others are asked for by what was `tried` once there are enough scores
    (`_can_learn`); before that, each point has a sequence of its own, in which values spread evenly (Sobol, scrambled).
    Raises SpecError where Optuna is missing, or where there are not enough different values.
    """
    drawn = [as_point(values) for values in known[:arms]]
    if len(drawn) < arms:
        before = tried()
        more = _asked(ranges, points, drawn, before) if _can_learn(ranges, before) else _spread(ranges, points, drawn)
        drawn += [next(more) for _ in range(arms - len(drawn))]
    for point in range(points):
        of_point = [_written(values) for values in drawn[point::points]]
        if len(set(of_point)) < len(of_point):
            raise SpecError("the ranges have fewer different values than arms", "lower arms, or widen a range")
    return drawn


def _spread(ranges: Ranges, points: int, drawn: Sequence[Point]) -> Iterator[Point]:
    """The values of the arms after those that are drawn, spread evenly for each point."""
    sequences = [_sequence(ranges, point) for point in range(points)]
    for i in itertools.count():
        values = next(sequences[i % points])
        if i >= len(drawn):
            yield values


def _can_learn(ranges: Ranges, tried: Sequence[Tried]) -> bool:
    """Whether there are scores of more arms than a line through them has parameters."""
    return sum(bool(one.scores) or one.failed for one in tried) > len(ranges) + 1


def _asked(ranges: Ranges, points: int, drawn: Sequence[Point], tried: Sequence[Tried]) -> Iterator[Point]:
    """Values near those that did well, by the tree-structured Parzen estimator: a pure function of what was tried.

    Arms that were dropped at a rung are trials that were pruned there; those under way count as bad, so that new ones
    keep away from them.
    """
    optuna = _optuna()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # parts of the sampler are called experimental
        sampler = optuna.samplers.TPESampler(seed=len(drawn), n_startup_trials=1, multivariate=True, constant_liar=True)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    distributions = _distributions(optuna, ranges)
    for one in tried:
        with contextlib.suppress(ValueError):  # it is said to have values that are not in the ranges
            study.add_trial(_trial(optuna, one, distributions))
    seen: list[set[str]] = [set(map(_written, drawn[point::points])) for point in range(points)]
    for i in itertools.count(len(drawn)):
        yield _new(study, ranges, distributions, seen[i % points])


def _trial(optuna: Any, one: Tried, distributions: Mapping[str, Any]) -> Any:
    """What Optuna is told of an arm."""
    states = optuna.trial.TrialState
    state = states.COMPLETE if one.done else states.PRUNED if one.scores or one.failed else states.RUNNING
    finite = {step: score if math.isfinite(score) else math.nan for step, score in one.scores.items()}
    if one.done and not math.isfinite(one.scores[max(one.scores)]):
        state = states.PRUNED
    return optuna.trial.create_trial(
        params=dict(one.values), distributions=dict(distributions), state=state,
        value=finite[max(finite)] if state == states.COMPLETE else None,
        intermediate_values={} if one.failed else finite,
    )  # fmt: skip


def _new(study: Any, ranges: Ranges, distributions: Mapping[str, Any], seen: set[str]) -> Point:
    """The next values that a study gives, if possible none that are `seen`, to which they are added."""
    for _ in range(TRIES):
        values = study.ask(dict(distributions)).params
        point: Point = {key: _rounded(values[".".join(key)], value) for key, value in ranges.items()}
        if _written(point) not in seen:
            break
    seen.add(_written(point))
    return point


def _written(values: Point) -> str:
    return json.dumps(list(values.values()))


def as_point(values: Mapping[str, Any]) -> Point:
    """Drawn values by keys in their parts."""
    return {tuple(key.split(".")): value for key, value in values.items()}


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
    distributions, seen = _distributions(optuna, ranges), set[str]()
    while True:
        yield _new(study, ranges, distributions, seen)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise SpecError("ranges need Optuna, which is not installed", "pip install 's3tui[race]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _distributions(optuna: Any, ranges: Ranges) -> dict[str, Any]:
    return {".".join(key): _distribution(optuna, value) for key, value in ranges.items()}


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
