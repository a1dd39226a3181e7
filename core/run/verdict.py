"""The verdict on a search: whether it decided which candidates to train, from the final p and the structure alone.

What p means depends on what the method selects by (`by` of its row in `core.run.methods`), so each has a verdict of
its own: for "p", the probabilities of gates; for "sensitivity", a search that prunes, which leaves p = 0 where it has
pruned; for "saliency", scores relative to the largest one, which decide nothing by themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from core.run.structure import Structure, choices_of, whole_space

FLAT = 0.95  # flatness from which p hardly distinguishes candidates
SURE = 0.9  # p above which a gate is taken to be open for certain
MOST = 0.9  # share of the chosen candidates with such a p from which a search has decided; below 1 - MOST it has not

Word = Literal["decided", "partly", "undecided", "near chance", "pruned", "unfinished", "scored", "no choice"]
POOR: tuple[Word, ...] = ("near chance", "undecided", "unfinished")
MEANINGS: dict[Word, str] = {
    "decided": f"at least {MOST:.0%} of the chosen candidates have p > {SURE}",
    "partly": f"some of the chosen candidates have p > {SURE}",
    "undecided": f"fewer than {1 - MOST:.0%} of the chosen candidates have p > {SURE}",
    "near chance": f"p has more than {FLAT:.0%} of the entropy of equal gates",
    "pruned": "the search pruned the space down to the budget",
    "unfinished": "the search ended before all of its prunings were done",
    "scored": "by one-shot scores, which decide nothing by themselves",
    "no choice": "the whole space fits into the budget",
}


@dataclass(frozen=True)
class Verdict:
    """A word, a sentence that begins with it, and the numbers that it rests on, by name.

    For gates: `chosen`, `sure` (of them those with p > 0.9), `all_sure` (of all candidates), `entropy` (`flatness`),
    `mean_p` (of the chosen), `flat_p` (that of equal gates which expect to spend the budget: B / sum of n_i). For
    pruning: `chosen` and `unpruned` modules, and `prunings_left`, where it is known. For scores: `score_share` and
    `parameter_share` of the chosen.
    """

    word: Word
    sentence: str
    numbers: dict[str, float] = field(default_factory=dict, hash=False)

    @property
    def is_poor(self) -> bool:
        """Whether the structure is hardly better founded than a random one, or the search was cut short."""
        return self.word in POOR

    def __str__(self) -> str:
        return self.sentence

    def to_json(self) -> dict[str, Any]:
        """For export."""
        return {"word": self.word, "sentence": self.sentence, "numbers": dict(self.numbers)}


_LONG: Mapping[Word, str] = {"partly": "partly decided"}


def verdict(structure: Structure, by: str, prunings_left: int | None = None) -> Verdict | None:
    """The verdict on a search that selects by p, by "sensitivity" or by "saliency"; None for anything else.

    `structure` holds its final p, or those so far. There is none either if nothing is chosen.
    `prunings_left` counts the prunings that a search left undone; None if it is not known.
    """
    judges: dict[str, Callable[[Structure], Verdict | None]] = {
        "p": _of_gates, "sensitivity": partial(_of_pruning, prunings_left), "saliency": _of_scores,
    }  # fmt: skip
    if by not in judges or not structure.selected:
        return None
    if structure.budget is not None and whole_space(structure.candidates) <= structure.budget:
        return Verdict("no choice", "no choice: the whole space fits into the budget")
    return judges[by](structure)


def entropy(p: float) -> float:
    """H(p) = -p log2 p - (1 - p) log2 (1 - p), in bits: 0 for a gate that is open or closed, 1 for even odds."""
    return -(p * math.log2(p) + (1 - p) * math.log2(1 - p)) if 0 < p < 1 else 0.0


def mean_entropy(p: Sequence[float]) -> float:
    """The mean binary entropy of gates, in bits."""
    return sum(map(entropy, p)) / len(p) if p else 0.0


def flatness(p: Sequence[float]) -> float:
    """mean H(p_i) / H(mean p_i), the entropy of p relative to that of equal gates: 1 if p is constant, 0 if it is sure.

    H is concave, so that it never exceeds 1.
    """
    even = entropy(sum(p) / len(p)) if p else 0.0
    return mean_entropy(p) / even if even else 0.0


def _of_gates(structure: Structure) -> Verdict:
    p, chosen = structure.p, [structure.p[i] for i in structure.selected]
    sure, flat = sum(value > SURE for value in chosen), flatness(p)
    numbers = {
        "chosen": len(chosen), "sure": sure, "all_sure": sum(value > SURE for value in p), "entropy": flat,
        "mean_p": sum(chosen) / len(chosen),
    }  # fmt: skip
    if structure.budget is not None:
        numbers["flat_p"] = min(1.0, structure.budget / sum(c.parameters for c in structure.candidates))
    if len(p) > 1 and flat > FLAT:
        why = f"p is almost flat ({flat:.0%} of the entropy of equal gates)"
        sentence = f"near chance: {why}, the structure is hardly better founded than a random one"
        return Verdict("near chance", sentence, numbers)
    share = sure / len(chosen)
    word: Word = "decided" if share >= MOST else "undecided" if share < 1 - MOST else "partly"
    return Verdict(word, f"{_LONG.get(word, word)}: {sure} of {len(chosen)} chosen candidates have p > {SURE}", numbers)


def _of_pruning(undone: int | None, structure: Structure) -> Verdict:
    """A module, with all of its ranks, is pruned if no candidate of it has a p above 0.

    The last pruning may leave a module that is then cut off, as it does not fit: this is no unfinished search. Where
    the prunings were not counted, any such module is taken for a sign of an unfinished one.
    """
    modules = choices_of(structure.candidates)
    chosen = {modules[i] for i in structure.selected}
    left = {module for module, p in zip(modules, structure.p, strict=True) if p > 0} - chosen
    numbers: dict[str, float] = {"chosen": len(chosen), "unpruned": len(left)}
    if undone is not None:
        numbers["prunings_left"] = undone
    if not (left if undone is None else undone):
        return Verdict("pruned", f"pruned: down to {many(len(chosen), 'chosen module')}", numbers)
    counted = f"{many(undone, 'pruning')} left undone, " if undone else ""
    why = f"{many(len(left), 'module')} remained to be pruned beside the {many(len(chosen), 'chosen one')}"
    return Verdict("unfinished", f"unfinished: {counted}{why}", numbers)


def _of_scores(structure: Structure) -> Verdict | None:
    total = sum(structure.p)
    if not total:
        return None
    score = sum(structure.p[i] for i in structure.selected) / total
    size = structure.parameters / sum(c.parameters for c in structure.candidates)
    chosen, of = len(structure.selected), len(structure.candidates)
    why = f"{chosen} of {of} candidates hold {score:.0%} of all scores, with {size:.0%} of all parameters"
    return Verdict("scored", f"scored: {why}", {"chosen": chosen, "score_share": score, "parameter_share": size})


def many(count: int, what: str) -> str:
    """A number of things in words, as in `1 module` and `2 modules`."""
    return f"{count:,} {what}" + ("" if count == 1 else "s")
