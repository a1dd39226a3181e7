"""Runs in groups, by what they are or by any setting but the seed, with the mean of each group and its spread."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from s3tui.listing.run_row import Line

OF_LINES = ("task", "method", "suite", "status", "model")


@dataclass(frozen=True)
class Group:
    """The runs whose `key` has the same value. `mean` and `spread` (sample standard deviation) are of final scores."""

    key: str
    value: str
    lines: tuple[Line, ...]

    @property
    def scores(self) -> list[float]:
        """The scores of those that are finished."""
        return [line.score for line in self.lines if line.status == "finished" and line.score is not None]

    @property
    def done(self) -> int:
        """How many are finished."""
        return sum(line.status == "finished" for line in self.lines)

    @property
    def mean(self) -> float | None:
        """The mean score; None before there is any."""
        return statistics.mean(self.scores) if self.scores else None

    @property
    def spread(self) -> float | None:
        """The sample standard deviation of the scores; None of fewer than two."""
        return statistics.stdev(self.scores) if len(self.scores) > 1 else None


def grouped(lines: Iterable[Line], key: str, specs: Mapping[str, Mapping[str, Any]]) -> list[Group]:
    """The lines by the value of a key, which is one of OF_LINES or a setting as `search.learning_rate`; in order."""
    groups: dict[str, list[Line]] = {}
    for line in lines:
        groups.setdefault(value_of(line, key, specs), []).append(line)
    return [Group(key, value, tuple(group)) for value, group in groups.items()]


def value_of(line: Line, key: str, specs: Mapping[str, Mapping[str, Any]]) -> str:
    """The value of a key for one run, `-` where it has none."""
    if key in OF_LINES:
        return str(getattr(line, key)) or "-"
    settings = dict(flat(specs.get(line.name, {})))
    return str(settings.get(key, "-"))


def keys_of(specs: Iterable[Mapping[str, Any]]) -> list[str]:
    """What runs can be grouped by: what they are, then the settings in which at least two of them differ."""
    seen: dict[str, set[str]] = {}
    for spec in specs:
        for key, value in flat(spec):
            seen.setdefault(key, set()).add(str(value))
    differing = [key for key, values in seen.items() if key != "seed" and len(values) > 1]
    return [*OF_LINES, *(key for key in differing if key not in OF_LINES)]


def flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Settings of settings as pairs: `search.learning_rate` and its value."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
