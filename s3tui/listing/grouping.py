"""Groups of runs by a column or by any setting except the seed, with mean and standard deviation of scores."""

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
        """The scores of the finished runs."""
        return [line.score for line in self.lines if line.status == "finished" and line.score is not None]

    @property
    def done(self) -> int:
        """The number of finished runs."""
        return sum(line.status == "finished" for line in self.lines)

    @property
    def mean(self) -> float | None:
        """The mean score; None before there is one."""
        return statistics.mean(self.scores) if self.scores else None

    @property
    def spread(self) -> float | None:
        """The sample standard deviation of the scores; None for fewer than two."""
        return statistics.stdev(self.scores) if len(self.scores) > 1 else None


def grouped(lines: Iterable[Line], key: str, specs: Mapping[str, Mapping[str, Any]]) -> list[Group]:
    """Group lines by the value of a key: one of OF_LINES, or a setting such as `search.learning_rate`."""
    groups: dict[str, list[Line]] = {}
    for line in lines:
        groups.setdefault(value_of(line, key, specs), []).append(line)
    return [Group(key, value, tuple(group)) for value, group in groups.items()]


def value_of(line: Line, key: str, specs: Mapping[str, Mapping[str, Any]]) -> str:
    """The value of a key for one run; `-` if it has none."""
    if key in OF_LINES:
        return str(getattr(line, key)) or "-"
    settings = dict(flat(specs.get(line.name, {})))
    return str(settings.get(key, "-"))


def keys_of(specs: Iterable[Mapping[str, Any]]) -> list[str]:
    """The keys by which runs can be grouped: columns, then the settings in which at least two runs differ."""
    seen: dict[str, set[str]] = {}
    for spec in specs:
        for key, value in flat(spec):
            seen.setdefault(key, set()).add(str(value))
    differing = [key for key, values in seen.items() if key != "seed" and len(values) > 1]
    return [*OF_LINES, *(key for key in differing if key not in OF_LINES)]


def flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Flatten nested settings to pairs such as `search.learning_rate` and its value."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
