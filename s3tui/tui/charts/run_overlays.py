"""Plots of several runs together as plain data, like those of one run in `figures`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from core.run.events import STEPPED
from s3tui.listing.run_row import Line
from s3tui.results.compare_runs import pareto
from s3tui.runs.curves import Curve
from s3tui.runs.history import HistoryView
from s3tui.tui.charts import figures
from s3tui.tui.charts.figures import Figure, Trace, View

Named = Mapping[str, HistoryView]  # by the run's name in the legend; its position is its colour
FAR = 50  # the ratio of parameters from which on their axis is logarithmic


def train_losses(runs: Named, view: View) -> Figure:
    """The training loss of each run."""
    return _overlaid("training loss", runs, lambda history: _labelled(figures.losses(history, view), "train"))


def validation_losses(runs: Named, view: View) -> Figure:
    """The validation (outer) loss of each search."""
    return _overlaid("validation loss", runs, lambda history: _labelled(figures.losses(history, view), "validation"))


def scores_by_step(runs: Named, view: View) -> Figure:
    """The score at each evaluation over the steps."""
    return _overlaid("score x 100", runs, lambda history: figures.scores(history, view).traces[0].curve)


def scores_by_time(runs: Named, view: View) -> Figure:
    """The score at each evaluation over the seconds of work until then."""
    figure = _overlaid("score x 100 over seconds", runs, lambda history: _by_time(history, view))
    return replace(figure, x_label="seconds")


def _overlaid(title: str, runs: Named, curve_of: Callable[[HistoryView], Curve]) -> Figure:
    curves = [(label, curve_of(history), colour) for colour, (label, history) in enumerate(runs.items())]
    return Figure(title, tuple(Trace(label, curve, colour) for label, curve, colour in curves if curve))


def _labelled(figure: Figure, label: str) -> Curve:
    return next((trace.curve for trace in figure.traces if trace.label == label), Curve())


def _by_time(history: HistoryView, view: View) -> Curve:
    points = []
    for evaluation in history.state.evaluations:
        if evaluation.phase not in STEPPED or view.phase not in ("", evaluation.phase):
            continue
        seconds = history.seconds_at(evaluation.phase, evaluation.step)
        if seconds is not None and evaluation.score is not None:
            points.append((seconds, 100 * evaluation.score))
    return _curve(points)


def score_against_parameters(lines: Sequence[Line]) -> Figure:
    """A point for each finished run, coloured by method, and the Pareto front."""
    done = finished(lines)
    far = bool(done) and max(p for p, _ in done.values()) > FAR * max(1.0, min(p for p, _ in done.values()))

    def at(name: str) -> tuple[float, float]:
        parameters, score = done[name]
        return (math.log10(max(1.0, parameters)) if far else parameters, 100 * score)

    methods = list(dict.fromkeys(line.method for line in lines if line.name in done))
    traces = [
        Trace(method, _curve([at(line.name) for line in lines if line.name in done and line.method == method]), i, True)
        for i, method in enumerate(methods)
    ]
    if len(done) > 1:
        traces.insert(0, Trace("Pareto line", _stairs([at(name) for name in pareto(done)], traces), 5, plain=True))
    label = "log10 of trained parameters" if far else "trained parameters"
    return Figure(f"score over {label}", tuple(traces), x_label=label)


def _stairs(front: Sequence[tuple[float, float]], traces: Sequence[Trace]) -> Curve:
    """The best score with at most so many parameters, as a step function through the Pareto front."""
    x, y = [front[0][0]], [front[0][1]]
    for parameters, score in front[1:]:
        x += [parameters, parameters]
        y += [y[-1], score]
    last = max(trace.curve.x[-1] for trace in traces)
    return Curve((*x, last), (*y, y[-1]))


def finished(lines: Sequence[Line]) -> dict[str, tuple[float, float]]:
    """Parameters and score of the finished runs."""
    return {
        line.name: (float(line.parameters), line.score)
        for line in lines
        if line.status == "finished" and line.parameters is not None and line.score is not None
    }


def _curve(points: Sequence[tuple[float, float]]) -> Curve:
    ordered = sorted(points)
    return Curve(tuple(x for x, _ in ordered), tuple(y for _, y in ordered))
