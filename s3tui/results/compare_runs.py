"""Comparison of several runs: differing settings, the Pareto front, how often candidates are chosen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.run.structure import Candidate, Structure
from s3tui.listing.grouping import flat
from s3tui.listing.run_row import Line
from s3tui.results.summary import without_seed


def differing(specs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The settings in which at least two runs differ, in the order of the settings."""
    values: dict[str, list[str]] = {}
    for place, spec in enumerate(specs):
        for key, value in flat(spec):
            # A run without a setting differs from a run with it.
            values.setdefault(key, ["-"] * len(specs))[place] = str(value)
    return [key for key, written in values.items() if len(set(written)) > 1]


def pareto(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """The Pareto front of `points` (parameters, score): the runs that no other dominates, in the order of parameters.

    A run is dominated by a higher score with no more parameters, and by the same score with fewer.
    """
    best, front = float("-inf"), []
    for name, (_, score) in sorted(points.items(), key=lambda pair: (pair[1][0], -pair[1][1])):
        if score > best:
            best = score
            front.append(name)
    return front


@dataclass(frozen=True)
class Chosen:
    """How many of the `of` runs that have a candidate in their space chose it, and its mean p."""

    candidate: Candidate
    times: int
    of: int
    p: float

    @property
    def share(self) -> float:
        """The share of runs that chose it."""
        return self.times / self.of


def frequencies(structures: Sequence[Structure]) -> list[Chosen]:
    """All candidates chosen by any of the runs, the most frequent first, then by mean p."""
    candidates: dict[str, Candidate] = {}
    could, times = Counter[str](), Counter[str]()
    p: dict[str, float] = {}
    for structure in structures:
        chosen = set(structure.selected)
        for place, candidate in enumerate(structure.candidates):
            name = candidate.name
            candidates.setdefault(name, candidate)
            could[name] += 1
            p[name] = p.get(name, 0.0) + structure.p[place]
            times[name] += place in chosen
    found = [Chosen(c, times[n], could[n], p[n] / could[n]) for n, c in candidates.items() if times[n]]
    return sorted(found, key=lambda one: (-one.share, -one.p))


def by_settings(lines: Iterable[Line], specs: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """The names of runs that differ only in the seed, by their common name without it."""
    groups: dict[tuple[str, str], list[str]] = {}
    for line in lines:
        settings = {key: value for key, value in flat(specs.get(line.name, {})) if key != "seed"}
        groups.setdefault((without_seed(line.name), str(settings)), []).append(line.name)
    named: dict[str, list[str]] = {}
    for (name, _), names in groups.items():
        # Two groups of the same name differ in a setting that is not in the name.
        named[name if name not in named else f"{name} ({names[0]})"] = names
    return named
