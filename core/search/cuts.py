"""Cuts that need the network: which losses they ask for, and which order of the candidates follows from them.

A cut is a generator: it yields gates, is sent the loss of the trained network under them, and returns the candidates in
the order in which the structure takes them. It depends on nothing but its arguments and those losses, so a resumed
cut is told the losses of before, and goes on.

`perturbation` closes one candidate after the other (Wang et al. 2021, arXiv 2108.04392, "Rethinking Architecture
Selection in Differentiable NAS", with a budget in place of one choice per edge). With the open candidates O, their
gates z, the mean validation loss L and the parameters n_i of a candidate,

    s_i = (L(z with z_i = 0) - L(z)) / n_i,      i in O,

and z_i = sigmoid(logit p_i - shift), where the shift holds the expected size sum_O n_i z_i at the budget B, so that
what stays open opens further. O is at first the most probable candidates within POOL B parameters. In round r of
ROUNDS the candidates with the largest s within B POOL^(1 - r/ROUNDS) parameters stay open.

`sampled` draws structures as the search draws gates, and takes the one with the least validation loss: the first fit by

    z_i = sigmoid(logit p_i + logit u_i),        u_i uniform in (0, 1),

with the first fit by p itself as the first of them.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass

import torch

from core.run.selection import Cut, by_probability, fill
from core.search.alternatives import LEAST, Choices
from core.search.gates import EPSILON, sample, shift_logits
from core.tasks.randomness import generator

# The candidates that the perturbation considers have this many times the budget.
POOL = 3.0
ROUNDS = 3


@dataclass(frozen=True)
class Trial:
    """A question of a cut: what is the loss under these gates (candidates)?

    `order` holds all candidates as the structure that would be selected now takes them; `total` is the number of trials
    of the whole cut, an estimate before the last round.
    """

    gates: list[float]
    order: list[int]
    total: int


Asking = Generator[Trial, float, list[int]]


def perturbation(cut: Cut, p: Sequence[float]) -> Asking:
    """The order by the rise of the loss per parameter when a candidate is closed, in rounds under the budget."""
    order, done = by_probability(p, cut.choices), 0
    rest = fill(order, cut.parameters, POOL * cut.budget)
    for left in reversed(range(ROUNDS)):
        room = cut.budget * POOL ** (left / ROUNDS)
        if len(cut.select(p, rest)) == len(rest):  # all of them fit
            break
        if left and sum(cut.parameters[i] for i in rest) <= room:
            continue
        gates = expected_gates(cut, p, rest)
        total = done + 1 + math.ceil(sum(len(rest) * POOL ** (-i / ROUNDS) for i in range(left + 1)))
        whole = yield Trial(gates, order, total)
        rise = {}
        for i in rest:
            loss = yield Trial([*gates[:i], 0.0, *gates[i + 1 :]], order, total)
            rise[i] = (loss - whole) / cut.parameters[i]
        done += 1 + len(rest)
        scored = sorted(rest, key=lambda i: -rise[i])
        order = scored + [i for i in order if i not in rise]
        rest = fill(scored, cut.parameters, room)
    return order


def expected_gates(cut: Cut, p: Sequence[float], numbers: Iterable[int]) -> list[float]:
    """The probabilities of these candidates, at the same odds, with the budget as their expected size; 0 elsewhere.

    If all of them fit, they are 1; of alternatives, they sum to 1 at most.
    """
    numbers = sorted(numbers)
    own = torch.tensor([p[i] for i in numbers], dtype=torch.float64).clamp(EPSILON, 1 - EPSILON)
    groups = [cut.choices[i] for i in numbers]
    places = torch.tensor([sorted(set(groups)).index(group) for group in groups])
    closed = 1 - torch.zeros_like(own).index_add(0, places, own)[places]
    alpha = own.log() - closed.clamp_min(LEAST).log()
    costs = torch.tensor([cut.parameters[i] for i in numbers])
    shifted, _ = shift_logits(alpha, costs, cut.budget, choices=Choices.of(groups, alpha.device))
    gates = [0.0] * len(p)
    for i, value in zip(numbers, torch.sigmoid(shifted).tolist(), strict=True):
        gates[i] = value
    return gates


def sampled(cut: Cut, p: Sequence[float], count: int, seed: int) -> Asking:
    """The order that begins with the best of the first fit and `count` - 1 structures drawn from p."""
    order = by_probability(p, cut.choices)
    drawn = dict.fromkeys([cut.select(p, order), *_drawn(cut, p, count - 1, seed)])
    best, least = next(iter(drawn)), math.inf
    for structure in drawn:
        loss = yield Trial(opened(structure, len(p)), _ahead(best, order), len(drawn))
        if loss < least:
            best, least = structure, loss
    return _ahead(best, order)


def _drawn(cut: Cut, p: Sequence[float], count: int, seed: int) -> list[tuple[int, ...]]:
    logits = torch.logit(torch.tensor(p, dtype=torch.float64).clamp(EPSILON, 1 - EPSILON))
    u = torch.rand(count, len(p), dtype=torch.float64, generator=generator(seed, "cut"))
    return [cut.select(p, by_probability(z, cut.choices)) for z in sample(logits, u).tolist()]


def opened(structure: Sequence[int], count: int) -> list[float]:
    """Gates of 1 for the structure, and 0 elsewhere."""
    chosen = set(structure)
    return [float(i in chosen) for i in range(count)]


def _ahead(structure: Sequence[int], order: Sequence[int]) -> list[int]:
    """The order with the structure first."""
    chosen = set(structure)
    return sorted(order, key=lambda i: i not in chosen)
