"""Peers of a structure, for comparison: that of another run, or the mean over same-config runs with other seeds."""

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
from s3tui.structures.selection_history import Rule


@dataclass(frozen=True)
class Peer:
    """A structure to compare with; for a mean over seeds, `agreement` is their mean pairwise Jaccard overlap."""

    name: str
    structure: Structure
    agreement: float | None = None


def seeds_of(run: FoundRun, runs: Mapping[str, FoundRun]) -> tuple[str, ...]:
    """The runs with the same settings as a run except for the seed, itself included."""
    settings = _without_seed(run.spec)
    return tuple(name for name, other in runs.items() if other.spec and _without_seed(other.spec) == settings)


def of_run(run: FoundRun) -> Peer:
    """The structure of a run; raises RunDirError if it has none, or a damaged one."""
    return Peer(run.name, load.of_run(run.directory, run.name).structure)


def of_seeds(runs: Sequence[FoundRun], rule: Rule) -> Peer:
    """The mean of the structures of runs with the same space, selected again by p under the budget.

    Raises RunDirError if fewer than two runs have a structure, or their spaces differ.
    """
    found = [load.of_run(run.directory, run.name).structure for run in runs if run.directory.structure.exists()]
    if len(found) < 2:
        raise RunDirError("fewer than two seeds have chosen a structure", "wait until their searches are over")
    limit = min(rule.budget, sum(c.parameters for c in found[0].candidates))
    pairs = [jaccard(a, b) for place, a in enumerate(found) for b in found[:place]]
    name = f"the mean over {len(found)} seeds" + (f" by {rule.how}, without the network" if rule.network else "")
    return Peer(name, mean(found, int(limit), rule.how), fmean(pairs))


def _without_seed(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in spec.items() if key != "seed"}
