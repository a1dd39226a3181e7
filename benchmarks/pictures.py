"""Draws docs/img/compute.svg from the collected runs: test scores against the steps of search and training together.

    python benchmarks/pictures.py

A point is the mean over seeds of runs that were trained to their end, at the rate of the default suite, with the
standard deviation over seeds; a line joins the lengths of a method.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from evidence import AS_LONG, BITFIT, FISHER, LORA, RANDOM, ROOT, S3, Arm, Evidence
from matplotlib.figure import Figure
from proof import TASKS
from replay import search_steps

from s3tui.plot.matplotlib_figures import COLOURS, WIDTH, figure_of, rendered

FILE = ROOT / "docs" / "img" / "compute.svg"
METHODS = (S3, FISHER, RANDOM, LORA, BITFIT)
LENGTHS: Sequence[Mapping[str, int]] = (
    {},
    AS_LONG,
    *({"retrain.max_steps": steps} for steps in (600, 900, 1200)),
)
POINT: Any = {"marker": "o", "ms": 2.5, "capsize": 1.5}
Point = tuple[int, float, float]  # steps, mean and standard deviation in points


def points(evidence: Evidence, arm: Arm, task: str) -> list[Point]:
    """What a method scores at each length at which it has two seeds or more."""
    found = []
    for length in LENGTHS:
        longer = arm.changed(length)
        scores = list(evidence.scores(longer, task).values())
        if len(scores) > 1:
            steps = search_steps(arm) + (longer.spec().retrain.max_steps or 0)
            found.append((steps, statistics.fmean(scores), statistics.stdev(scores)))
    return found


def drawn(evidence: Evidence) -> Figure:
    """A panel for each task."""
    by_task = {task: [points(evidence, arm, task) for arm in METHODS] for task in TASKS}
    shown = {task: lines for task, lines in by_task.items() if any(len(line) > 1 for line in lines)}
    rows = math.ceil(len(shown) / 2)
    figure = Figure(figsize=(WIDTH, 1.9 * rows), layout="constrained")
    for i, (task, lines) in enumerate(shown.items()):
        axes = figure.add_subplot(rows, 2, i + 1)
        for arm, line, colour in zip(METHODS, lines, COLOURS, strict=False):
            if line:
                steps, means, spreads = zip(*line, strict=True)
                axes.errorbar(steps, means, spreads, color=colour, label=arm.title.replace("`", ""), **POINT)
        axes.set_title(task)
        axes.set_xlabel("steps of search and training")
        axes.set_ylabel("test score, points")
        if not i:
            axes.legend(loc="lower right")
    return figure


if __name__ == "__main__":
    FILE.write_bytes(rendered(figure_of(lambda: drawn(Evidence())), "svg"))
