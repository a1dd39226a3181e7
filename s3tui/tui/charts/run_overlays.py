"""Plots of several runs together as plain data, like those of one run in `figures`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from core.run.events import STEPPED
from s3tui.listing.columns import POINTS
from s3tui.results.seed_means import Mean, front_of
from s3tui.runs.curves import Curve
from s3tui.runs.history import HistoryView
from s3tui.tui.charts import figures
from s3tui.tui.charts.figures import TRAINED, Figure, Trace, View

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


def score_against_parameters(means: Sequence[Mean]) -> Figure:
    """A point for each mean over seeds, coloured by method, with its standard deviation, and the Pareto front.

    What trains no parameters but those of a new head has no place on a logarithmic axis: it is a dashed line.
    """
    trained = [mean for mean in means if mean.parameters]
    far = bool(trained) and max(m.parameters for m in trained) > FAR * min(m.parameters for m in trained)

    def at(mean: Mean) -> tuple[float, float]:
        return (math.log10(mean.parameters) if far else mean.parameters, POINTS * mean.score)

    traces: list[Trace] = []
    for colour, method in enumerate(dict.fromkeys(mean.method for mean in trained)):
        own = [mean for mean in trained if mean.method == method]
        traces += [_bar(*at(mean), POINTS * mean.spread, colour) for mean in own if mean.spread]
        traces.append(Trace(method, _curve([at(mean) for mean in own]), colour, True))
    if len(trained) > 1:
        names = front_of(trained)
        front = [at(mean) for mean in sorted(trained, key=lambda m: m.parameters) if mean.name in names]
        traces.insert(0, Trace("Pareto", _stairs(front, traces), 5, plain=True))
    label = f"log10 of {TRAINED}" if far else TRAINED
    return Figure(f"mean score over {label}", tuple(traces), label, _of_none(means))


def _bar(x: float, y: float, spread: float, colour: int) -> Trace:
    return Trace("", Curve((x, x), (y - spread, y + spread)), colour, plain=True)


def _of_none(means: Sequence[Mean]) -> tuple[float, str] | None:
    """The best mean score without trained parameters, as a level."""
    scores = [POINTS * mean.score for mean in means if not mean.parameters]
    return (max(scores), "head alone") if scores else None


def _stairs(front: Sequence[tuple[float, float]], traces: Sequence[Trace]) -> Curve:
    """The best score with at most so many parameters, as a step function through the Pareto front."""
    x, y = [front[0][0]], [front[0][1]]
    for parameters, score in front[1:]:
        x += [parameters, parameters]
        y += [y[-1], score]
    last = max(trace.curve.x[-1] for trace in traces)
    return Curve((*x, last), (*y, y[-1]))


def _curve(points: Sequence[tuple[float, float]]) -> Curve:
    ordered = sorted(points)
    return Curve(tuple(x for x, _ in ordered), tuple(y for _, y in ordered))
