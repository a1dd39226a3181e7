"""What is drawn of runs, as plain data: panels of lines, points, matrices."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from core.run.errors import UsageError
from core.run.methods import method_of
from core.run.structure import RUN
from s3tui.plot.load import Drawn, groups_of
from s3tui.results.summary import Row, rows_of
from s3tui.runs.curves import Curve
from s3tui.runs.history import Frame
from s3tui.runs.status import Done
from s3tui.structures.load import Heatmap, delta_name, heatmap

SMOOTHED = 25  # a curve is smoothed over so many-th of its points
FRAMES = 64  # of the gates: a picture of a thousand lines should stay a file of a few hundred kilobytes


@dataclass(frozen=True)
class Line:
    """A line; those of one `label` have one colour. A faint one stands behind the others and in no legend."""

    label: str
    curve: Curve
    faint: bool = False


@dataclass(frozen=True)
class Panel:
    """Lines over one axis; `limit` is a horizontal line with what it is called."""

    title: str
    x: str
    y: str
    lines: tuple[Line, ...]
    limit: tuple[str, float] | None = None


@dataclass(frozen=True)
class Matrix:
    """Scores in points: rows are where a structure comes from, columns the tasks that it is trained on.

    `metrics` says for each column what the score is.
    `reference` holds for each column what the structure searched on that very task scores, None where it is not there.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    metrics: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]
    reference: tuple[float | None, ...]


def structure_map(runs: Sequence[Drawn]) -> Heatmap:
    """p averaged over the runs, and how often each candidate is chosen; raises UsageError where no run has chosen."""
    structures = [run.structure for run in runs if run.structure is not None and run.structure.candidates]
    if not structures:
        raise UsageError("none of these runs has chosen a structure", "wait until a search is over")
    return heatmap(structures)


def loss_panels(runs: Sequence[Drawn]) -> list[Panel]:
    """The losses of searching and retraining and the validation score, each experiment in a colour of its own."""
    kinds: list[tuple[str, str, Callable[[Drawn], Curve]]] = [
        ("search: training loss", "loss", lambda run: run.history.curve("search", "train_loss")),
        ("search: validation loss", "loss", lambda run: run.history.curve("search", "validation_loss")),
        ("retraining: training loss", "loss", lambda run: run.history.curve("retrain", "train_loss")),
    ]
    panels = [Panel(title, "step", y, tuple(_smooth_lines(runs, curve_of))) for title, y, curve_of in kinds]
    score = Panel("retraining: validation", "step", _metric(runs), tuple(_mean_lines(runs, _scores)))
    return _told([*panels, score], "has told of a loss")


def _told(panels: Sequence[Panel], what: str) -> list[Panel]:
    """The panels that show anything."""
    shown = [panel for panel in panels if panel.lines]
    if not shown:
        raise UsageError(f"none of these runs {what} yet")
    return shown


def _metric(runs: Sequence[Drawn]) -> str:
    metrics = {run.history.state.metric for run in runs if run.history.state.metric}
    return metrics.pop() if len(metrics) == 1 else "score"


def _scores(run: Drawn) -> Curve:
    found = [e for e in run.history.state.evaluations if e.phase == "retrain" and e.score is not None]
    return Curve(tuple(float(e.step) for e in found), tuple(float(e.score or 0.0) for e in found))


def _smooth_lines(runs: Sequence[Drawn], curve_of: Callable[[Drawn], Curve]) -> Iterator[Line]:
    """A line for each run alone with what it is smoothed from; of several seeds their mean before them."""
    for label, group in groups_of(runs).items():
        curves = [curve for run in group if (curve := curve_of(run))]
        smooth = [smoothed(curve) for curve in curves]
        yield from (Line(label, curve, faint=True) for curve in (curves if len(curves) == 1 else smooth))
        if smooth:
            yield Line(label, mean_curve(smooth))


def _mean_lines(runs: Sequence[Drawn], curve_of: Callable[[Drawn], Curve]) -> Iterator[Line]:
    for label, group in groups_of(runs).items():
        curves = [curve for run in group if (curve := curve_of(run))]
        if len(curves) > 1:
            yield from (Line(label, curve, faint=True) for curve in curves)
        if curves:
            yield Line(label, mean_curve(curves))


def smoothed(curve: Curve) -> Curve:
    """Means over a window that moves with the points, shorter at the ends."""
    half = len(curve.x) // (2 * SMOOTHED)
    windows = (curve.y[max(0, i - half) : i + half + 1] for i in range(len(curve.y)))
    return Curve(curve.x, tuple(statistics.fmean(window) for window in windows))


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """The mean over several curves, at the points of the first for as far as all of them go."""
    points = []
    for x in curves[0].x:
        values = [curve.at(x) for curve in curves]
        if None not in values:
            points.append((x, statistics.fmean(v for v in values if v is not None)))
    return Curve(tuple(x for x, _ in points), tuple(y for _, y in points))


def budget_panels(runs: Sequence[Drawn]) -> list[Panel]:
    """For each search what its gates expect, sample and would cut out, against the budget."""
    kinds = (("sampled", "sampled, sum n z"), ("expected", "expected, sum n p"), ("selected", "cut out now"))
    panels = []
    for run in runs:
        curves = [(label, run.history.curve("search", name)) for name, label in kinds]
        lines = tuple(Line(label, curve) for label, curve in curves if curve)
        budget = run.history.state.budget
        limit = None if budget is None else ("budget", budget)
        panels.append(Panel(run.name, "search step", "parameters", lines, limit))
    return _told(panels, "has searched")


def gate_panels(runs: Sequence[Drawn]) -> list[Panel]:
    """For each search the probability of every gate over time, by kind of delta; those not chosen are faint."""
    panels = []
    for run in runs:
        chosen = set(run.history.selected or ())
        lines = []
        if len(run.history.frames) > 1:
            frames = _thinned(run.history.frames)
            x = tuple(float(frame.step) for frame in frames)
            for i, candidate in enumerate(run.history.candidates):
                curve = Curve(x, tuple(frame.p[i] for frame in frames))
                lines.append(Line(delta_name(candidate.delta), curve, faint=i not in chosen))
        panels.append(Panel(run.name, "search step", "p (faint: not chosen)", tuple(lines)))
    return _told(panels, "has searched")


def _thinned(frames: Sequence[Frame]) -> Sequence[Frame]:
    """As many frames as a picture shows, the last of them always."""
    every = -(-len(frames) // FRAMES)
    return frames[(len(frames) - 1) % every :: every]


def pareto_rows(runs: Sequence[Drawn]) -> list[list[Row]]:
    """The results of the runs, those whose scores compare together."""
    contests: dict[object, list[Row]] = {}
    for row in rows_of(replace(run.run, name=run.name) for run in runs):
        contests.setdefault(row.contest, []).append(row)
    if not contests:
        raise UsageError("none of these runs is finished")
    return list(contests.values())


def transfer_matrix(runs: Sequence[Drawn]) -> Matrix:
    """The scores of structures on tasks other than those that they were searched on; raises UsageError without any.

    What was searched on the task itself stands on the diagonal; other methods have a row each.
    """
    by_name = {f"{RUN}{run.run.name}": run for run in runs}
    if not any(method_of(run.method).is_given for run in runs):
        raise UsageError("none of these runs trains a structure of another", 'as with structure = "run:NAME"')
    scores: dict[tuple[str, str], list[float]] = {}
    own: dict[str, list[float]] = {}
    metrics: dict[str, str] = {}
    for run in runs:
        if not isinstance(run.run.status, Done):
            continue
        result, method = run.run.status.result, method_of(run.method)
        metrics[run.task] = result.metric
        row = _source_label(_reference(run), by_name) if method.is_given else run.group.partition("/")[0]
        here = own.setdefault(run.task, []) if method.searches else scores.setdefault((row, run.task), [])
        here.append(100 * result.score)
    for task, values in own.items():
        scores.setdefault((task, task), values)
    return _matrix({cell: statistics.fmean(values) for cell, values in scores.items()}, metrics)


def _reference(run: Drawn) -> str:
    name: str = run.run.spec.get("space", {}).get("name", "")
    return name


def _source_label(reference: str, by_name: dict[str, Drawn]) -> str:
    """The task on which a structure was searched; the name of its file or run, where that run is not among these."""
    return by_name[reference].task if reference in by_name else reference.removeprefix(RUN)


def _matrix(scores: dict[tuple[str, str], float], metrics: dict[str, str]) -> Matrix:
    columns = list(dict.fromkeys(column for _, column in scores))
    rows = list(dict.fromkeys(row for row, _ in scores))
    rows = [*(c for c in columns if c in rows), *(r for r in rows if r not in columns)]
    values = tuple(tuple(scores.get((row, column)) for column in columns) for row in rows)
    reference = tuple(scores.get((c, c)) for c in columns)
    return Matrix(tuple(rows), tuple(columns), tuple(metrics[c] for c in columns), values, reference)
