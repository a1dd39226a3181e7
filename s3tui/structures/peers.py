"""What a structure is compared with: that of another run, or the mean over the seeds of the same settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from core.run.errors import RunDirError
from core.run.selection import mean
from core.run.structure import Structure, jaccard
from s3tui.runs.workspace import FoundRun
from s3tui.structures import load


@dataclass(frozen=True)
class Rival:
    """Another structure under its name; of a mean over seeds, how much these share pair by pair (Jaccard)."""

    name: str
    structure: Structure
    agreement: float | None = None


def seeds_of(run: FoundRun, runs: Mapping[str, FoundRun]) -> tuple[str, ...]:
    """The runs with the settings of a run but for the seed, itself among them."""
    settings = _without_seed(run.spec)
    return tuple(name for name, other in runs.items() if other.spec and _without_seed(other.spec) == settings)


def of_run(run: FoundRun) -> Rival:
    """The structure of a run; raises RunDirError where it has none, or a damaged one."""
    return Rival(run.name, load.of_run(run.directory, run.name).structure)


def of_seeds(runs: Sequence[FoundRun], budget: float, how: str) -> Rival:
    """The mean over runs of one space (those that have a structure), selected again under the budget.

    Raises RunDirError where fewer than two have one, or their spaces differ.
    """
    found = [load.of_run(run.directory, run.name).structure for run in runs if run.directory.structure.exists()]
    if len(found) < 2:
        raise RunDirError("fewer than two seeds have chosen a structure", "wait until their searches are over")
    limit = min(budget, sum(c.parameters for c in found[0].candidates))
    pairs = [jaccard(a, b) for place, a in enumerate(found) for b in found[:place]]
    return Rival(f"the mean over {len(found)} seeds", mean(found, int(limit), how), fmean(pairs))


def _without_seed(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in spec.items() if key != "seed"}
