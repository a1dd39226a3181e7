"""Converts the events of a run into records for any tracker: scalars, histograms, the chosen structure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from core.run.events import Eval, Event, Gates, Space, Step, StructureChosen
from core.run.structure import Candidate, Structure, read_candidate
from s3tui.runs.history import CURVES

GATES, STRUCTURE = "search/gates", "search/structure"


@dataclass(frozen=True)
class Scalars:
    """Values at a step, by name."""

    values: Mapping[str, float]
    step: int


@dataclass(frozen=True)
class Histogram:
    """All gate probabilities at a step."""

    values: list[float]
    step: int


@dataclass(frozen=True)
class Chosen:
    """The structure chosen after a step, with the latest gate probabilities."""

    structure: Structure
    step: int


Record = Scalars | Histogram | Chosen


class EventRecords:
    """Converts events into records for trackers, each step once.

    A resumed attempt repeats the steps after the last checkpoint (on a CPU bit for bit), and trackers cannot delete the
    records of the earlier attempt, so repeated steps are skipped.
    """

    def __init__(self) -> None:
        self._candidates: tuple[Candidate, ...] = ()
        self._budget: int | None = None
        self._p: list[float] = []
        self._step = 0
        self._last: dict[tuple[str, ...], int] = {}

    def of(self, event: Event) -> Iterator[Record]:
        """The records of the next event."""
        if isinstance(event, Space):
            self._candidates, self._budget = tuple(map(read_candidate, event.candidates)), event.budget
        elif isinstance(event, Step) and self._is_new(event.step, event.type, event.phase):
            self._step = event.step if event.phase == "search" else self._step
            yield from _scalars(_of_step(event, self._budget), event.step)
        elif isinstance(event, Gates):
            self._p = event.p
            if self._is_new(event.step, event.type):
                yield Histogram(event.p, event.step)
        elif isinstance(event, Eval) and self._is_new(event.step, event.type, event.phase, event.split):
            prefix = f"{event.phase}/" if event.phase == event.split else f"{event.phase}/{event.split}_"
            yield from _scalars({f"{prefix}{name}": value for name, value in event.metrics.items()}, event.step)
        elif isinstance(event, StructureChosen) and self._is_new(self._step, event.type):
            yield from _scalars({"search/chosen_parameters": event.parameters}, self._step)
            if len(self._p) == len(self._candidates) > max(event.selected, default=0):
                p, chosen = tuple(self._p), tuple(event.selected)
                yield Chosen(Structure(self._candidates, p, chosen, self._budget), self._step)

    def _is_new(self, step: int, *kind: str) -> bool:
        if step <= self._last.get(kind, -1):
            return False
        self._last[kind] = step
        return True


def _of_step(event: Step, budget: int | None) -> dict[str, float | None]:
    values: dict[str, float | None] = {f"{event.phase}/{name}": getattr(event, name) for name in CURVES}
    return values | ({f"{event.phase}/budget": budget} if event.expected is not None else {})


def _scalars(values: Mapping[str, float | None], step: int) -> Iterator[Scalars]:
    """A record of the finite values, if there are any."""
    finite = {name: float(value) for name, value in values.items() if value is not None and math.isfinite(value)}
    if finite:
        yield Scalars(finite, step)
