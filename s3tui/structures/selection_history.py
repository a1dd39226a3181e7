"""The structure that would be selected after each recorded frame of the gates, and how stable it is; cached."""

from __future__ import annotations

import itertools
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.run.methods import method_of
from core.run.selection import Cut
from core.run.structure import Candidate, overlap
from core.run.verdict import mean_entropy
from s3tui.runs.curves import Curve
from s3tui.runs.history import Frame, HistoryView

TAKEN_OVER = 0.9  # share of the selected parameters that makes one delta dominant


@dataclass(frozen=True)
class Choice:
    """The selection after a frame, the mean binary entropy of its p in bits, and the largest p."""

    frame: Frame
    selected: frozenset[int]
    parameters: int
    entropy: float
    peak: float


@dataclass(frozen=True)
class Rule:
    """By which a run selects: the budget in parameters, "first-fit" or "knapsack", and what the candidates go by.

    That is "p", or what the order stands for that the run logs with its gates.
    """

    budget: float = 0
    how: str = "first-fit"
    by: str = "p"

    @property
    def is_ordered(self) -> bool:
        """Whether the order decides, and not p."""
        return self.by != "p"

    def decided(self, frames: Sequence[Frame]) -> Sequence[Frame]:
        """The frames from which a selection follows: runs of before the order was logged have none."""
        return tuple(frame for frame in frames if frame.order is not None) if self.is_ordered else frames

    def __str__(self) -> str:
        return f"by {self.by}" if self.is_ordered else self.how


class Choices:
    """The choices after all frames of a run, each computed once."""

    def __init__(self, candidates: Sequence[Candidate], rule: Rule) -> None:
        self._cut = Cut.of(candidates, rule.budget, rule.how)
        self._known: dict[int, Choice] = {}

    def advance(self, frames: Sequence[Frame], seconds: float) -> tuple[Choice, ...]:
        """Compute choices for some seconds, the latest frame first; returns all computed so far, in the order of steps.

        When all are computed, there are as many as frames.
        """
        deadline = time.monotonic() + seconds
        # A resumed run repeats steps: other frames of the same step.
        known = {f.step: c for f in frames if (c := self._known.get(f.step)) is not None and c.frame is f}
        for frame in reversed(frames):
            if frame.step not in known:
                known[frame.step] = self._choose(frame)
                if time.monotonic() > deadline:
                    break
        self._known = known
        return tuple(known[step] for step in sorted(known))

    def _choose(self, frame: Frame) -> Choice:
        chosen = self._cut.select(frame.p, frame.order)
        spent = sum(self._cut.parameters[i] for i in chosen)
        return Choice(frame, frozenset(chosen), spent, mean_entropy(frame.p), max(frame.p, default=0.0))


def rule_of(history: HistoryView, spec: object) -> Rule:
    """The rule by which a run selects its structure; without a budget everything fits."""
    settings = spec if isinstance(spec, dict) else {}
    search = settings.get("search")
    how = search.get("selection") if isinstance(search, dict) else None
    budget = history.state.budget
    return Rule(
        math.inf if budget is None else budget,
        how if how in ("first-fit", "knapsack") else "first-fit",
        method_of(settings.get("method")).by,
    )


def overlaps(choices: Sequence[Choice]) -> tuple[Curve, Curve]:
    """The overlap of each selection with the latest one, and with the one before it."""
    if not choices:
        return Curve(), Curve()
    steps = tuple(float(c.frame.step) for c in choices)
    latest = tuple(overlap(c.selected, choices[-1].selected) for c in choices)
    before = tuple(overlap(a.selected, b.selected) for a, b in itertools.pairwise(choices))
    return Curve(steps, latest), Curve(steps[1:], before)


def entropies(choices: Sequence[Choice]) -> Curve:
    """The mean binary entropy of p over the steps."""
    return Curve(tuple(float(c.frame.step) for c in choices), tuple(c.entropy for c in choices))


def steady_since(choices: Sequence[Choice]) -> int | None:
    """The first step since which the selection has not changed; None before there is one."""
    since = None
    for choice in reversed(choices):
        if choice.selected != choices[-1].selected:
            break
        since = choice.frame.step
    return since


@dataclass(frozen=True)
class Share:
    """The share of one delta or site: selected candidates, all candidates, and parameters of the selected ones."""

    selected: int
    candidates: int
    parameters: int


def shares(
    candidates: Sequence[Candidate], selected: frozenset[int], key: Callable[[Candidate], str]
) -> dict[str, Share]:
    """The share of each delta or site (as given by `key`), in the order of the space."""
    total = Counter(map(key, candidates))
    chosen = Counter(key(candidates[i]) for i in selected)
    spent: Counter[str] = Counter()
    for index in selected:
        spent[key(candidates[index])] += candidates[index].parameters
    return {name: Share(chosen[name], number, spent[name]) for name, number in total.items()}


def dominant(candidates: Sequence[Candidate], selected: frozenset[int]) -> str:
    """A warning if one of several deltas has nearly all of the selected parameters; empty if none has."""
    spent = shares(candidates, selected, lambda c: c.delta)
    total = sum(share.parameters for share in spent.values())
    for delta, share in spent.items():
        if len(spent) > 1 and share.parameters > TAKEN_OVER * total:
            return f"{delta} has {share.parameters / total:.0%} of the selected parameters"
    return ""


def near_cut(frame: Frame, selected: frozenset[int], count: int) -> tuple[list[int], list[int]]:
    """The last of the selected candidates and the first of the others, closest to the threshold first.

    They are sorted by the frame's order, or by p if it has none.
    """
    p = frame.p
    order = sorted(range(len(p)), key=lambda i: -p[i]) if frame.order is None else frame.order
    last_in = [i for i in reversed(order) if i in selected][:count]
    first_out = [i for i in order if i not in selected][:count]
    return last_in, first_out


def places_by_p(p: Sequence[float]) -> list[int]:
    """The place of each candidate in descending order of p, from 1; equal p keep the order of the space."""
    rank = [0] * len(p)
    for place, index in enumerate(sorted(range(len(p)), key=lambda i: -p[i]), 1):
        rank[index] = place
    return rank
