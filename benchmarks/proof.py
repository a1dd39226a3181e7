"""The methods of the proof, each at its own learning rate on each task.

A method is retrained at each of `RATES`. A seed is reported at the rate that is best on validation over the *other*
seeds of the task, so that no row chooses its rate by the scores that it reports. All methods of a task choose among the
same rates: those that every one of them was run with, on at least two seeds.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from evidence import BITFIT, FISHER, LORA, RANDOM, S3, TAYLOR, Arm, Evidence, Run, Seeds, rate

TASKS = ("icd10-chapter", "sst2", "stsb", "mrpc", "cola", "rte")
RATES = (5e-3, 1e-2, 2e-2)
METHODS = (S3, TAYLOR, FISHER, RANDOM, LORA, BITFIT)
ByRate = Mapping[float, Mapping[int, Run]]  # the runs of a method on a task, by rate and seed


@dataclass(frozen=True)
class Chosen:
    """A method on a task: the rate of each seed, chosen by the others, and the run at that rate."""

    rates: Mapping[int, float] = field(default_factory=dict)
    runs: Mapping[int, Run] = field(default_factory=dict)

    @property
    def scores(self) -> Seeds:
        """The test score of each seed, in points."""
        return {seed: 100 * run["test"] for seed, run in self.runs.items()}


def by_rate(evidence: Evidence, arm: Arm, task: str) -> ByRate:
    """The runs of a method, at the rates that it has on at least two seeds."""
    found = {value: {run["seed"]: run for run in evidence.runs(arm.changed(rate(value)), task)} for value in RATES}
    return {value: runs for value, runs in found.items() if len(runs) > 1}


def sweep(evidence: Evidence, task: str) -> dict[str, ByRate]:
    """The methods that were run on a task, by title, each at the rates that all of them have."""
    found = {arm.title: by_rate(evidence, arm, task) for arm in METHODS}
    rates = common_rates(found.values())
    return {title: {value: runs[value] for value in rates} for title, runs in found.items() if runs and rates}


def common_rates(methods: Iterable[ByRate]) -> list[float]:
    """The rates that all methods have which have any, the lowest first."""
    tried = [set(runs) for runs in methods if runs]
    return sorted(set.intersection(*tried)) if tried else []


def choose(runs: ByRate) -> Chosen:
    """The rate of each seed that all rates have; of equally good rates the lowest."""
    seeds = sorted(set.intersection(*(set(by_seed) for by_seed in runs.values())))
    if len(seeds) < 2:
        return Chosen()
    best = {seed: _best_without(seed, runs, seeds) for seed in seeds}
    return Chosen(best, {seed: runs[value][seed] for seed, value in best.items()})


def _best_without(seed: int, runs: ByRate, seeds: Sequence[int]) -> float:
    others = [other for other in seeds if other != seed]
    return max(sorted(runs), key=lambda value: statistics.fmean(runs[value][other]["validation"] for other in others))


def proof(evidence: Evidence, task: str) -> dict[str, Chosen]:
    """The methods that were run on a task, by title, each at the rates that its other seeds choose."""
    found = {title: choose(runs) for title, runs in sweep(evidence, task).items()}
    return {title: chosen for title, chosen in found.items() if chosen.runs}
