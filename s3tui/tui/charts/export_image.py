"""Exports the plot on a screen as an image, drawn with matplotlib."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from s3tui.plot import matplotlib_figures
from s3tui.plot.labels import labelled
from s3tui.tui.charts.figures import FADED, WHOLE, Figure, Trace, View

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

WIDTH, HEIGHT = 5.5, 3.2  # inches


def can_draw() -> bool:
    """Whether matplotlib is installed, without importing it."""
    return find_spec("matplotlib") is not None


def picture(figure: Figure, view: View, form: str) -> bytes:
    """The figure as on the screen, as "svg" or "png"; raises UsageError if matplotlib is not installed."""
    return matplotlib_figures.rendered(matplotlib_figures.figure_of(lambda: _drawn(labelled(figure), view)), form)


def _drawn(figure: Figure, view: View) -> Picture:
    from matplotlib.figure import Figure as Picture
    from matplotlib.ticker import MaxNLocator

    drawn = Picture(figsize=(WIDTH, HEIGHT), layout="constrained")
    axes = drawn.add_subplot()
    for trace in figure.traces:
        look: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 4} if trace.dots else {}
        palette = matplotlib_figures.COLOURS
        colour = "0.8" if trace.colour == FADED else palette[trace.colour % len(palette)]
        axes.plot(trace.curve.x, trace.curve.y, color=colour, label=_label(trace), **look)
    if figure.level is not None:
        value, name = figure.level
        axes.axhline(value, color="0.35", linewidth=0.7, linestyle=":", label=name)
    for border in figure.borders:
        axes.axvline(border, color="0.6", linewidth=0.7, linestyle=":")
    if view.low > 0 or view.high < 1:
        ends = [x for trace in figure.traces for x in trace.curve.x]
        first, width = min(ends), max(ends) - min(ends)
        axes.set_xlim(first + view.low * width, first + view.high * width)
    if view.log:
        axes.set_yscale("log")
    axes.set(title=figure.title, xlabel=figure.x_label)
    axes.grid(axis="y", color="0.9", linewidth=0.5)
    if figure.x_label in WHOLE:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if figure.legend:
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return drawn


def _label(trace: Trace) -> str:
    """What the legend says of a trace; matplotlib leaves out what begins so."""
    return "_" if trace.colour == FADED or not trace.label else trace.label
