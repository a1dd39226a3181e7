"""The figures of a race: the bracket, which says who was dropped at which rung, and scores against compute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from s3tui.plot.labels import labelled
from s3tui.plot.matplotlib_figures import COLOURS, WIDTH

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FINAL, UNDER_WAY, OUT = COLOURS[0], COLOURS[2], "0.6"
NAMES = 44  # characters of a name in the text
LINE = 8  # characters from one rung to the next in the text


@dataclass(frozen=True)
class Entrant:
    """An arm: how many rungs it has reached, with its validation score at the last, and the steps that it has cost.

    `end` is what became of it: "final", "out", or "under way".
    """

    name: str
    reached: int
    score: float | None
    steps: int
    end: str

    @property
    def colour(self) -> str:
        """That of what became of it."""
        return {"final": FINAL, "out": OUT}.get(self.end, UNDER_WAY)

    @property
    def mark(self) -> str:
        """Of what became of it."""
        return {"final": "o", "out": "x"}.get(self.end, ">")


@dataclass(frozen=True)
class Bracket:
    """The arms of a race, the best of those that came farthest first, and the steps of its rungs."""

    rungs: tuple[int, ...]
    entrants: tuple[Entrant, ...]


def bracket(found: Bracket) -> Figure:
    """A line for each arm, from the start to the last rung that it has reached."""
    from matplotlib.figure import Figure

    found = labelled(found)
    figure = Figure(figsize=(WIDTH, 0.6 + 0.17 * len(found.entrants)), layout="constrained")
    axes = figure.add_subplot()
    for i, one in enumerate(found.entrants):
        axes.plot([0, one.reached], [i, i], color=one.colour, linewidth=1.4)
        axes.plot([one.reached], [i], marker=one.mark, color=one.colour, markersize=4)
        if one.score is not None:
            axes.annotate(f"{100 * one.score:.2f}", (one.reached, i), (5, -2), textcoords="offset points", fontsize=6)
    for place in range(1, len(found.rungs) + 1):
        axes.axvline(place, color="0.85", linewidth=0.7, zorder=0)
    axes.set_xticks(range(len(found.rungs) + 1), ["0", *(f"{step:,}" for step in found.rungs)])
    axes.set_xlim(0, len(found.rungs) + 0.4)
    axes.set_yticks(range(len(found.entrants)), [one.name for one in found.entrants])
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("steps of training, by rung")
    return figure


def compute(found: Bracket) -> Figure:
    """The validation score of each arm at its last rung against the steps that it has cost."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH * 0.65, 2.4), layout="constrained")
    axes = figure.add_subplot()
    for end, label in (("out", "dropped or lost"), ("under way", "under way"), ("final", "in the final")):
        mine = [one for one in found.entrants if one.end == end and one.score is not None]
        if mine:
            _points(axes, mine, label)
    axes.set(xlabel="steps of search and training", ylabel="validation score x 100")
    axes.grid(color="0.92", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _points(axes: Axes, arms: Sequence[Entrant], label: str) -> None:
    scores = [100 * one.score for one in arms if one.score is not None]
    for one, score in zip(arms, scores, strict=True):
        number = one.name.partition(" ")[0]
        axes.annotate(number, (one.steps, score), (3, 3), textcoords="offset points", fontsize=6)
    axes.scatter([one.steps for one in arms], scores, color=arms[0].colour, marker=arms[0].mark, s=18, label=label)


def bracket_lines(found: Bracket) -> list[str]:
    """The bracket as text."""
    width = min(NAMES, max((len(one.name) for one in found.entrants), default=0))
    heads = "".join(f"{step:>{LINE},}" for step in found.rungs)
    lines = [" " * (width + 2) + heads]
    for one in found.entrants:
        mark = {"final": "●", "out": "✗"}.get(one.end, "▸")
        line = "─" * (LINE * one.reached - 1) + mark if one.reached else mark
        score = "" if one.score is None else f" {100 * one.score:.2f}"
        name = one.name if len(one.name) <= width else f"{one.name[: width - 1]}…"
        lines.append(f"{name:<{width}}  {line}{score}")
    return lines
