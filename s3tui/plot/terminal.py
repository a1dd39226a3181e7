"""Plots in a terminal with plotext; maps and matrices are printed as numbers."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence

from s3tui.plot.panels import Matrix, Panel
from s3tui.results.summary import Row
from s3tui.text.columns import aligned
from s3tui.text.sanitize import clean
from s3tui.text.streams import print_coloured

HEIGHT = 18  # lines of one panel
PIPED = 100  # columns if stdout is not a terminal
COLOURS = ("blue", "orange", "green", "magenta", "cyan", "yellow", "white")


def print_panels(panels: Sequence[Panel]) -> None:
    """Print panels one below the other."""
    for panel in panels:
        print_coloured(drawn(panel, _width(), _colour()))


def _width() -> int:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else PIPED


def _colour() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def drawn(panel: Panel, width: int, colour: bool) -> str:
    """A panel as text; without faint lines if there are others."""
    import plotext

    _begin(width, HEIGHT, colour)
    strong = [line for line in panel.lines if not line.faint] or list(panel.lines)
    labels = list(dict.fromkeys(line.label for line in strong))
    named: set[str] = set()
    for line in strong:
        look = {"color": COLOURS[labels.index(line.label) % len(COLOURS)]} if colour else {}
        label = None if line.label in named else clean(line.label)
        named.add(line.label)
        marker = "braille" if colour or len(labels) == 1 else str(labels.index(line.label) % 10)
        plotext.plot(list(line.curve.x), list(line.curve.y), label=label, marker=marker, **look)
    if panel.limit is not None:
        plotext.hline(panel.limit[1])
    return _built(panel.title, panel.x, panel.y, colour)


def print_pareto(contests: Sequence[Sequence[Row]]) -> None:
    """Print the scores as points; the table of `s3tui results` has the numbers."""
    for rows in contests:
        print_coloured(pareto(rows, _width(), _colour()))


def pareto(rows: Sequence[Row], width: int, colour: bool) -> str:
    """Score against trained parameters as text; runs without trained parameters are a line."""
    import plotext

    _begin(width, HEIGHT + 4, colour)
    for number, row in enumerate(rows):
        look = {"color": COLOURS[number % len(COLOURS)]} if colour else {}
        if row.parameters:
            label, marker = f"{chr(97 + number % 26)} {clean(row.experiment)}", chr(97 + number % 26)
            plotext.scatter([row.parameters], [100 * row.score_mean], label=label, marker=marker, **look)
        else:
            plotext.hline(100 * row.score_mean)
    plotext.xscale("log")
    return _built(rows[0].contest.title, "trained parameters", f"{rows[0].metric} x 100", colour)


def _begin(width: int, height: int, colour: bool) -> None:
    import plotext

    plotext.clear_figure()
    plotext.theme("pro" if colour else "clear")
    plotext.limit_size(False, False)  # do not limit the size to that of the terminal: the output may be a file
    plotext.plotsize(width, height)


def _built(title: str, x: str, y: str, colour: bool) -> str:
    import plotext

    plotext.title(clean(title))
    plotext.xlabel(clean(x))
    plotext.ylabel(clean(y))
    text: str = plotext.build()
    text = text if colour else plotext.uncolorize(text)
    return "\n".join(line.rstrip() for line in text.rstrip().splitlines())


def print_transfer(found: Matrix) -> None:
    """Print the transfer matrix."""
    print("\n".join(transfer_lines(found)))


def transfer_lines(found: Matrix) -> list[str]:
    """The transfer matrix as lines of text."""
    head = [f"{column} ({metric})" for column, metric in zip(found.columns, found.metrics, strict=True)]
    lines = zip(found.rows, found.values, strict=True)
    rows = [[name, *("-" if value is None else f"{value:.2f}" for value in values)] for name, values in lines]
    return aligned([["structure from", *head], *rows])
