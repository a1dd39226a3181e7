"""Mean scores over runs that differ only in the seed, and the Pareto front of these means."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from s3tui.listing.run_row import Line
from s3tui.results.compare_runs import by_settings, pareto


@dataclass(frozen=True)
class Mean:
    """The mean over the finished runs `lines`; `spread` is their sample standard deviation, None for one run alone.

    Different seeds may select different numbers of parameters: `parameters` is their mean.
    """

    name: str
    method: str
    lines: tuple[Line, ...]
    parameters: float
    score: float
    spread: float | None


def means_of(lines: Sequence[Line], specs: Mapping[str, Mapping[str, Any]]) -> list[Mean]:
    """The means of the finished runs, in the order of parameters."""
    done = {line.name: line for line in lines if _score(line) is not None and line.parameters is not None}
    groups = by_settings(done.values(), specs)
    found = [_mean(name, tuple(done[one] for one in names)) for name, names in groups.items()]
    return sorted(found, key=lambda mean: (mean.parameters, mean.score))


def front_of(means: Sequence[Mean]) -> set[str]:
    """The names of the means that no other dominates."""
    return set(pareto({mean.name: (mean.parameters, mean.score) for mean in means}))


def _score(line: Line) -> float | None:
    return line.score if line.status == "finished" else None


def _mean(name: str, lines: tuple[Line, ...]) -> Mean:
    scores = [score for line in lines if (score := _score(line)) is not None]
    spread = statistics.stdev(scores) if len(scores) > 1 else None
    parameters = statistics.mean(line.parameters or 0 for line in lines)
    return Mean(name, lines[0].method, lines, parameters, statistics.mean(scores), spread)
