"""The results table of a suite: one row for each experiment, averaged over its seeds."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple

from core.run.events import EventReader, Started
from s3tui.runs.records.result import Result
from s3tui.runs.status import Done
from s3tui.runs.workspace import FoundRun

# As the event `started` names the types of the backbone, in runs whose results do not.
PRECISIONS = {"float32": "fp32", "bfloat16": "bf16"}
FIRST_EVENT = 2**12  # bytes from which the first event of a run is read


class Contest(NamedTuple):
    """What rows have in common whose scores compare; `precision` is empty where it is not known."""

    task: str
    model: str
    metric: str
    precision: str

    @property
    def title(self) -> str:
        """Task, model and precision."""
        return ", ".join(filter(None, (self.task, self.model, self.precision)))


@dataclass(frozen=True)
class Row:
    """An experiment, or one point of its matrix, averaged over seeds.

    `precision` is that of the backbone: runs of different precision are never averaged. `score_std` is the sample
    standard deviation, None for a single run. `parameters` (trained, rounded) and `seconds` (of a whole run) are means;
    `budget` is in parameters, None where there is none.

    `rows` is the number of test rows, None where it is not known or differs; `standard_error` the mean one of a run's
    score over these rows, not that of the mean: the runs share the rows. `constant` is the score of always giving the
    most frequent answer of the training split, or its mean. A second metric has a name and a mean if there is one, and
    `second_constant` is that of the constant answer. `left_out` counts the bad rows of the files that no run has read.
    """

    experiment: str
    task: str
    model: str
    method: str
    metric: str
    precision: str
    budget: int | None
    parameters: int
    backbone_parameters: int
    score_mean: float
    score_std: float | None
    runs: int
    seconds: float
    rows: int | None = None
    standard_error: float | None = None
    constant: float | None = None
    second_metric: str | None = None
    second_mean: float | None = None
    second_constant: float | None = None
    left_out: int = 0

    @property
    def contest(self) -> Contest:
        """Rows of one contest have scores that compare."""
        return Contest(self.task, self.model, self.metric, self.precision)


Groups = list[tuple[Row, list[FoundRun]]]


def rows_of(runs: Iterable[FoundRun]) -> list[Row]:
    """The rows of the finished ones of these runs: contest by contest, the best score first."""
    return [row for row, _ in grouped(runs)]


def grouped(runs: Iterable[FoundRun]) -> Groups:
    """The same rows, each with the runs that it averages."""
    groups: dict[tuple[str, str, str], list[FoundRun]] = {}
    for run in runs:
        if isinstance(run.status, Done):
            groups.setdefault(_group(run), []).append(run)
    rows = [(_row(name, precision, group), group) for (name, _, precision), group in groups.items()]
    return sorted(rows, key=lambda pair: (pair[0].contest, -pair[0].score_mean, pair[0].experiment))


def _result(run: FoundRun) -> Result:
    assert isinstance(run.status, Done)
    return run.status.result


def _group(run: FoundRun) -> tuple[str, str, str]:
    """The name of a run's group, its settings and its precision. Runs of a group differ in nothing but the seed."""
    settings = {k: v for k, v in run.spec.items() if k != "seed"}
    return without_seed(run.name), json.dumps(settings, sort_keys=True), _precision(run)


def _precision(run: FoundRun) -> str:
    """The precision of the backbone; of a result that does not have it, from the first event."""
    if known := _result(run).precision:
        return known
    reader = EventReader(run.directory.events)
    started = [event for event in reader.poll(FIRST_EVENT) if isinstance(event, Started)]
    reader.close()
    return PRECISIONS.get(started[0].precision, "") if started else ""


def without_seed(name: str) -> str:
    """A run's name without its seed: `by-chance/seed=1,budget=0.0004` is `by-chance/budget=0.0004`."""
    path = PurePosixPath(name)
    keys = [part for part in path.name.split(",") if not re.fullmatch(r"seed=\d+", part)]
    return str(path.with_name(",".join(keys)) if keys else path.parent)


def _row(name: str, precision: str, runs: list[FoundRun]) -> Row:
    group = [_result(run) for run in runs]
    first = group[0]
    scores = [result.score for result in group]
    second = next((name for name in first.metrics if name != first.metric), None)
    return Row(
        experiment=name,
        task=first.task,
        model=first.model,
        method=first.method,
        metric=first.metric,
        precision=precision,
        budget=first.budget,
        parameters=round(statistics.mean(result.parameters for result in group)),
        backbone_parameters=first.backbone_parameters,
        score_mean=statistics.mean(scores),
        score_std=statistics.stdev(scores) if len(scores) > 1 else None,
        runs=len(group),
        seconds=statistics.mean(result.seconds for result in group),
        rows=first.rows if len({result.rows for result in group}) == 1 else None,
        standard_error=_mean([result.standard_error for result in group]),
        constant=_mean([result.constant.get(first.metric) for result in group]),
        second_metric=second,
        second_mean=_mean([result.metrics.get(second) for result in group]) if second else None,
        second_constant=_mean([result.constant.get(second) for result in group]) if second else None,
        left_out=max(sum(result.left_out.values()) for result in group),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean; None if one of the values is missing."""
    known = [value for value in values if value is not None]
    return statistics.mean(known) if len(known) == len(values) else None


def without_result(runs: Iterable[FoundRun]) -> Iterator[str]:
    """A line for each run without a result, with its status."""
    for run in runs:
        if not isinstance(run.status, Done):
            yield ": ".join(filter(None, (run.name, run.status.name, run.status.note)))
