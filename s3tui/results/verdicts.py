"""What is known beside the scores about how well founded searched structures are.

For each row of results: the verdicts on its searches, and how far its seeds agree. For each search of a task: whether
what it thought of structures is what they scored. It is computed from the structure files, which are read only where
there is a search to compare with.
"""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.run.comparing import by_chance, mean_overlap
from core.run.methods import OWN_TABLES
from core.run.structure import Structure, names_of
from core.run.verdict import MEANINGS, Verdict, Word
from s3tui.results.rank_correlation import Chosen, RankCorrelation, mean_scores, rank_correlation
from s3tui.results.summary import Contest, Groups, Row
from s3tui.runs.status import Done
from s3tui.runs.verdicts import judged, searches, structure_of
from s3tui.runs.workspace import FoundRun

AGREEMENT = (
    "mean Jaccard overlap of the structures of different seeds (that of random ones from the space within the budget)"
)
# Settings by which the structure is chosen; runs that differ in the others are not trained in the same way.
OF_CHOOSING = frozenset({"seed", "method", "space", "budget", "search", "device", "checkpoint_every", *OWN_TABLES})


@dataclass(frozen=True)
class Founding:
    """How well founded the structures of a row are: the verdicts on its searches, by run.

    `overlap` is the mean Jaccard overlap of the structures of different seeds, `by_chance` that of structures drawn at
    random from the same space under the same budget; None for fewer than two.
    """

    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    overlap: float | None = None
    by_chance: float | None = None

    @property
    def words(self) -> dict[Word, int]:
        """How many runs have each verdict, the most frequent first."""
        return dict(Counter(one.word for one in self.verdicts.values()).most_common())

    @property
    def short(self) -> str:
        """The verdicts in few words: `decided`, or `2 decided, 1 near chance`."""
        words = self.words
        return next(iter(words)) if len(words) == 1 else ", ".join(f"{count} {word}" for word, count in words.items())

    @property
    def agreement(self) -> str:
        """The overlap of seeds, and in brackets that by chance."""
        if self.overlap is None or self.by_chance is None:
            return ""
        return f"{self.overlap:.2f} ({self.by_chance:.2f})"


@dataclass(frozen=True)
class Correlated:
    """The rank correlation of a search, which is a row of results."""

    row: Row
    found: RankCorrelation

    def __str__(self) -> str:
        return f"{self.row.experiment}: {self.found}"


@dataclass(frozen=True)
class Diagnosis:
    """The founding of each row, and the rank correlations."""

    rows: Mapping[Row, Founding] = field(default_factory=dict)
    correlations: tuple[Correlated, ...] = ()

    def of(self, row: Row) -> Founding:
        """How well founded the structures of a row are."""
        return self.rows.get(row, Founding())

    def of_contest(self, contest: Contest) -> list[Correlated]:
        """The rank correlations of the searches of a contest, where there is more than one structure."""
        return [one for one in self.correlations if one.row.contest == contest and one.found.structures > 1]


UNKNOWN = Diagnosis()


def diagnose(rows: Groups) -> Diagnosis:
    """The diagnosis of the runs of these rows; those whose structure file is damaged are left out."""
    searched = [(row, group) for row, group in rows if searches(group[0])]
    wanted = {(row.contest, row.budget) for row, _ in searched}
    known = {
        run.name: structure
        for row, group in rows
        if (row.contest, row.budget) in wanted
        for run in group
        if (structure := structure_of(run)) is not None
    }
    retrained: dict[tuple[object, ...], list[tuple[Chosen, float]]] = {}
    for row, group in rows:
        for run in group:
            if run.name in known and isinstance(run.status, Done):
                one = names_of(known[run.name]), run.status.result.score
                retrained.setdefault(_alike(row, run), []).append(one)
    scores = {alike: mean_scores(several) for alike, several in retrained.items()}
    correlations = []
    for row, group in searched:
        if p := _mean_p([known[run.name] for run in group if run.name in known]):
            correlations.append(Correlated(row, rank_correlation(p, scores[_alike(row, group[0])])))
    return Diagnosis({row: _founding(group, known) for row, group in searched}, tuple(correlations))


def _alike(row: Row, run: FoundRun) -> tuple[object, ...]:
    """What runs have in common whose structures were retrained in the same way under the same budget."""
    training = {name: value for name, value in run.spec.items() if name not in OF_CHOOSING}
    return row.contest, row.budget, json.dumps(training, sort_keys=True)


def _mean_p(structures: Sequence[Structure]) -> dict[str, float]:
    """The p of each candidate, averaged over the seeds of a search."""
    values: dict[str, list[float]] = {}
    for structure in structures:
        for candidate, p in zip(structure.candidates, structure.p, strict=True):
            values.setdefault(candidate.name, []).append(p)
    return {name: statistics.fmean(several) for name, several in values.items()}


def _founding(group: Sequence[FoundRun], known: Mapping[str, Structure]) -> Founding:
    verdicts = {run.name: found for run in group if (found := judged(run, known.get(run.name))) is not None}
    structures = [known[run.name] for run in group if run.name in known]
    if len(structures) < 2:
        return Founding(verdicts)
    return Founding(verdicts, mean_overlap([names_of(s) for s in structures]), by_chance(structures))


# The keys of a founding in JSON and CSV.
KEYS = ("verdict", "seed_overlap", "seed_overlap_by_chance")


def as_row(found: Founding) -> dict[str, Any]:
    """A founding for JSON and CSV, numbers unrounded."""
    return dict(zip(KEYS, (found.short or None, found.overlap, found.by_chance), strict=True))


def as_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """The verdict on each run, and the rank correlations, for JSON."""
    verdicts = {
        name: one.to_json() for found in diagnosis.rows.values() for name, one in sorted(found.verdicts.items())
    }
    correlations = [
        {
            "experiment": one.row.experiment, "task": one.row.task, "model": one.row.model,
            "precision": one.row.precision, "budget": one.row.budget, "structures": one.found.structures,
            "kendall_tau": one.found.tau, "by_chance": one.found.by_chance,
        }
        for one in diagnosis.correlations
    ]  # fmt: skip
    return {"verdicts": verdicts, "rank_correlations": correlations}


def legend(founds: Sequence[Founding]) -> str:
    """What the words mean that these rows have."""
    words = dict.fromkeys(word for found in founds for word in found.words)
    return "; ".join(f"{word}: {MEANINGS[word]}" for word in words)
