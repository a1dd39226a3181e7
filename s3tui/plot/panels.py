"""The content of plots as plain data: panels of lines, points, matrices."""

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

SMOOTHED = 25  # the smoothing window is the number of points divided by this
FRAMES = 64  # of the gates, so that a picture of a thousand lines remains a file of a few hundred kilobytes


@dataclass(frozen=True)
class Line:
    """A line; lines with the same `label` have the same colour. Faint ones are behind others and not in the legend."""

    label: str
    curve: Curve
    faint: bool = False


@dataclass(frozen=True)
class Panel:
    """Lines over one axis; `limit` is a horizontal line with its label."""

    title: str
    x: str
    y: str
    lines: tuple[Line, ...]
    limit: tuple[str, float] | None = None


@dataclass(frozen=True)
class Matrix:
    """Scores in points: rows are sources of structures, columns are tasks on which they are trained.

    `metrics` is the metric of each column; `reference` is for each column the score of the structure searched on the
    same task, or None.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    metrics: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]
    reference: tuple[float | None, ...]


def structure_map(runs: Sequence[Drawn]) -> Heatmap:
    """The map of p averaged over runs, and of how often candidates are chosen; raises UsageError if there is none."""
    structures = [run.structure for run in runs if run.structure is not None and run.structure.candidates]
    if not structures:
        raise UsageError("none of these runs has chosen a structure", "wait until a search is over")
    return heatmap(structures)


def loss_panels(runs: Sequence[Drawn]) -> list[Panel]:
    """The losses of search and retraining and the validation score, with one colour for each experiment."""
    kinds: list[tuple[str, str, Callable[[Drawn], Curve]]] = [
        ("search: training loss", "loss", lambda run: run.history.curve("search", "train_loss")),
        ("search: validation loss", "loss", lambda run: run.history.curve("search", "validation_loss")),
        ("retraining: training loss", "loss", lambda run: run.history.curve("retrain", "train_loss")),
    ]
    panels = [Panel(title, "step", y, tuple(_smooth_lines(runs, curve_of))) for title, y, curve_of in kinds]
    score = Panel("retraining: validation", "step", _metric(runs), tuple(_mean_lines(runs, _scores)))
    return _not_empty([*panels, score], "has logged a loss")


def _not_empty(panels: Sequence[Panel], what: str) -> list[Panel]:
    """The panels with lines; raises UsageError if there are none."""
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
    """A smoothed and a faint raw line for a single run; for several seeds their mean, and faint single runs."""
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
    """The centred moving average, with a shorter window at the ends."""
    half = len(curve.x) // (2 * SMOOTHED)
    windows = (curve.y[max(0, i - half) : i + half + 1] for i in range(len(curve.y)))
    return Curve(curve.x, tuple(statistics.fmean(window) for window in windows))


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """The mean of several curves at the points of the first, over their common range."""
    points = []
    for x in curves[0].x:
        values = [curve.at(x) for curve in curves]
        if None not in values:
            points.append((x, statistics.fmean(v for v in values if v is not None)))
    return Curve(tuple(x for x, _ in points), tuple(y for _, y in points))


def budget_panels(runs: Sequence[Drawn]) -> list[Panel]:
    """For each search the expected, sampled and currently selected parameters, against the budget."""
    kinds = (("sampled", "sampled, sum n z"), ("expected", "expected, sum n p"), ("selected", "selected now"))
    panels = []
    for run in runs:
        curves = [(label, run.history.curve("search", name)) for name, label in kinds]
        lines = tuple(Line(label, curve) for label, curve in curves if curve)
        budget = run.history.state.budget
        limit = None if budget is None else ("budget", budget)
        panels.append(Panel(run.name, "search step", "parameters", lines, limit))
    return _not_empty(panels, "has searched")


def gate_panels(runs: Sequence[Drawn]) -> list[Panel]:
    """For each search the probability of every gate over time, coloured by delta; faint if not chosen."""
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
    return _not_empty(panels, "has searched")


def _thinned(frames: Sequence[Frame]) -> Sequence[Frame]:
    """At most FRAMES frames, always with the last one."""
    every = -(-len(frames) // FRAMES)
    return frames[(len(frames) - 1) % every :: every]


def pareto_rows(runs: Sequence[Drawn]) -> list[list[Row]]:
    """The result rows of the runs, grouped by comparable scores."""
    contests: dict[object, list[Row]] = {}
    for row in rows_of(replace(run.run, name=run.name) for run in runs):
        contests.setdefault(row.contest, []).append(row)
    if not contests:
        raise UsageError("none of these runs is finished")
    return list(contests.values())


def transfer_matrix(runs: Sequence[Drawn]) -> Matrix:
    """The scores of structures transferred to other tasks; raises UsageError if there are none.

    Structures searched on the same task are on the diagonal; other methods have a row each.
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


def has_transfers(runs: Sequence[Drawn]) -> bool:
    """Whether a run trains a structure of another task than its own, or of one that is not among these runs."""
    by_name = {f"{RUN}{run.run.name}": run for run in runs}
    given = [(run, by_name.get(_reference(run))) for run in runs if method_of(run.method).is_given]
    return any(source is None or source.task != run.task for run, source in given)


def _reference(run: Drawn) -> str:
    name: str = run.run.spec.get("space", {}).get("name", "")
    return name


def _source_label(reference: str, by_name: dict[str, Drawn]) -> str:
    """The task on which a structure was searched; or the name of its file or run, if that run is not loaded."""
    return by_name[reference].task if reference in by_name else reference.removeprefix(RUN)


def _matrix(scores: dict[tuple[str, str], float], metrics: dict[str, str]) -> Matrix:
    columns = list(dict.fromkeys(column for _, column in scores))
    rows = list(dict.fromkeys(row for row, _ in scores))
    rows = [*(c for c in columns if c in rows), *(r for r in rows if r not in columns)]
    values = tuple(tuple(scores.get((row, column)) for column in columns) for row in rows)
    reference = tuple(scores.get((c, c)) for c in columns)
    return Matrix(tuple(rows), tuple(columns), tuple(metrics[c] for c in columns), values, reference)
