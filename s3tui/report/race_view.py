"""How a race stands, as the app and the report show it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from core.run.errors import S3Error
from core.run.structure import Structure
from s3tui.race.compute import Compute
from s3tui.race.decide import Arm
from s3tui.race.facts import arms_of, compute
from s3tui.race.track import track
from s3tui.runs.curves import Curve
from s3tui.scheduling.races import Race
from s3tui.structures.load import of_run


@dataclass(frozen=True)
class RaceView:
    """A race with what its arms have done: validation scores over steps of retraining, and compute.

    `standing` are the names of the arms, the best of those that came farthest first; `numbers` those by which they are
    called, from 0, in the order of the race. `structure` is that of the first of the standing, None where it has none.
    """

    race: Race
    arms: Mapping[str, Arm]
    curves: Mapping[str, Curve]
    compute: Compute
    standing: tuple[str, ...]
    numbers: Mapping[str, int] = field(default_factory=dict)
    structure: Structure | None = None

    @property
    def leader(self) -> str:
        """The arm that is the best so far; empty before the first has reached a rung."""
        first = next((name for name in self.standing if self.race.decision.places[name].fate != "lost"), "")
        return first if first and self.race.decision.places[first].step else ""


def view_of(race: Race) -> RaceView:
    """How a race stands, read from the directories of its runs."""
    arms = arms_of(race.record, race.runs)
    decision = race.decision
    order = {arm.name: i for i, arm in enumerate(arms)}
    view = RaceView(
        race, {arm.name: arm for arm in arms}, {arm.name: _curve(race, arm.name) for arm in arms},
        compute(race.record, race.runs, decision),
        tuple(sorted(order, key=lambda n: (-decision.places[n].step, decision.places[n].rank, order[n]))), order,
    )  # fmt: skip
    return view if not view.leader else _with_structure(view)


def _with_structure(view: RaceView) -> RaceView:
    try:
        return replace(view, structure=of_run(view.race.runs[view.leader].directory, view.leader).structure)
    except S3Error:
        return view


def _curve(race: Race, arm: str) -> Curve:
    run = race.runs.get(arm)
    found = track(run.directory.events).evaluations if run is not None else ()
    finite = [(step, score) for step, score in found if math.isfinite(score)]
    return Curve(tuple(float(step) for step, _ in finite), tuple(score for _, score in finite))
