"""The part of a report about races: the answer, who was dropped at which rung, and scores against compute."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import isfinite
from typing import TYPE_CHECKING

from s3tui.plot import matplotlib_figures, race_figures
from s3tui.plot.race_figures import Bracket, Entrant
from s3tui.report.blocks import Block, Heading, Picture, Table, Text
from s3tui.report.race_answer import answer_lines, table, values_of
from s3tui.report.race_view import RaceView
from s3tui.text.columns import aligned
from s3tui.text.units import count, points

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ENDS = {"final": "final", "dropped": "out", "lost": "out"}


def races(views: Sequence[RaceView]) -> Iterator[Block]:
    """A part for each race."""
    if views:
        yield Heading("Races")
    for view in views:
        yield Heading(view.race.name, 3)
        yield from (Text(f"{line}.") for line in answer_lines(view.race))
        found = bracket_of(view)
        yield Picture(
            "Who was dropped at which rung: a line for each arm up to the last rung that it has reached, with its best "
            "validation score there (x 100). Dot: in the final; cross: dropped or lost; arrow: under way.",
            lambda found=found: _svg(lambda: race_figures.bracket(found)),  # type: ignore[misc]
            lambda found=found: "\n".join(race_figures.bracket_lines(found)),  # type: ignore[misc]
        )
        yield Picture(
            "Validation score against compute: each arm at its last rung, and the steps of search and training that it "
            "has cost.",
            lambda found=found: _svg(lambda: race_figures.compute(found)),  # type: ignore[misc]
            lambda found=found: "\n".join(_compute_lines(found)),  # type: ignore[misc]
        )
        head, *rows = table(view.race)
        yield Table((*head[:-1], "became"), rows, frozenset({0, 2, 4, 5, 6}))


def bracket_of(view: RaceView) -> Bracket:
    """The arms of a race with the rungs that they have reached."""
    return Bracket(view.race.record.rules.rungs, tuple(_entrant(view, name) for name in view.standing))


def _entrant(view: RaceView, name: str) -> Entrant:
    place, arm = view.race.decision.places[name], view.arms[name]
    rungs = view.race.record.rules.rungs
    score = arm.scores.get(place.step)
    return Entrant(
        f"{view.numbers[name]} {values_of(name)}",
        rungs.index(place.step) + 1 if place.step else 0,
        score if score is not None and isfinite(score) else None,
        arm.steps,
        ENDS.get(place.fate, "under way"),
    )


def _compute_lines(found: Bracket) -> list[str]:
    rows = [[one.name, count(one.steps), points(one.score)] for one in found.entrants]
    return aligned([["arm", "steps", "score"], *rows])


def _svg(draw: Callable[[], Figure]) -> str:
    return matplotlib_figures.rendered(matplotlib_figures.figure_of(draw), "svg").decode()
