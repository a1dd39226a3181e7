"""The cuts that ask the network: what they ask, what follows from the answers, and that it is within the budget."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support import batch, build
from torch.nn import functional as F

from core.run.selection import Cut, by_probability, first_fit
from core.search.cuts import POOL, ROUNDS, Asking, Trial, expected_gates, perturbation, sampled
from core.training.loss import exact_loss

CUTS: dict[str, Callable[[Cut, Sequence[float]], Asking]] = {
    "perturbation": perturbation,
    "sampled": lambda cut, p: sampled(cut, p, 12, seed=0),
}


def played(asking: Asking, loss: Callable[[Trial], float]) -> tuple[list[Trial], list[int]]:
    """All trials of a cut whose losses this function gives, and the order at its end."""
    trials = []
    try:
        trials.append(next(asking))
        while True:
            trials.append(asking.send(loss(trials[-1])))
    except StopIteration as end:
        return trials, end.value


@st.composite
def spaces(draw: st.DrawFn) -> tuple[Cut, list[float]]:
    """Candidates, some of them alternatives with p that sum to 1 at most, and a budget that one of them fits."""
    costs = draw(st.lists(st.integers(1, 50), min_size=1, max_size=14))
    choices = [0]
    for i in range(1, len(costs)):
        choices.append(choices[-1] if draw(st.booleans()) else i)
    p = [draw(st.floats(0, 1)) / choices.count(choice) for choice in choices]
    return Cut(costs, choices, draw(st.integers(min(costs), sum(costs)))), p


@pytest.mark.parametrize("how", CUTS)
@given(spaces(), st.integers(0, 10**6))
def test_whatever_the_losses_are_the_structure_is_within_the_budget_with_one_of_alternatives(how, space, seed):
    cut, p = space
    place = random.Random(seed)
    trials, order = played(CUTS[how](cut, p), lambda _: place.random())
    assert sorted(order) == list(range(len(p)))
    for now in (*(t.order for t in trials), order):
        chosen = cut.select(p, now)
        assert chosen
        assert sum(cut.parameters[i] for i in chosen) <= cut.budget
        assert len({cut.choices[i] for i in chosen}) == len(chosen)
    assert all(0 <= z <= 1 for trial in trials for z in trial.gates)
    assert len(trials) <= ROUNDS * (1 + len(p)) or how == "sampled"
    assert not trials or trials[-1].total >= len(trials)


@pytest.mark.parametrize("how", CUTS)
def test_the_same_losses_give_the_same_cut(how):
    cut, p = Cut([3, 5, 2, 4, 6, 1], [0, 1, 1, 3, 4, 5], 8), [0.5, 0.2, 0.3, 0.4, 0.6, 0.1]
    made = [played(CUTS[how](cut, p), lambda trial: math.sin(sum(trial.gates) + trial.gates[0])) for _ in range(2)]
    assert made[0] == made[1]


@given(spaces())
def test_expected_gates_hold_the_budget_at_the_odds_of_p(space):
    cut, p = space
    p = [min(max(value, 1e-3), 0.999 / cut.choices.count(c)) for value, c in zip(p, cut.choices, strict=True)]
    numbers = list(range(0, len(p), 2)) or [0]
    gates = expected_gates(cut, p, numbers)
    assert all(z == 0 for i, z in enumerate(gates) if i not in numbers)
    spent = sum(z * cut.parameters[i] for i, z in enumerate(gates))
    groups = {c: [i for i in numbers if cut.choices[i] == c] for c in cut.choices}
    assert all(sum(gates[i] for i in group) <= 1 + 1e-9 for group in groups.values())
    alone = [i for i in numbers if len(groups[cut.choices[i]]) == 1]
    if len(alone) == len(numbers):
        assert spent == pytest.approx(min(cut.budget, sum(cut.parameters[i] for i in numbers)), rel=1e-6)
    logits = [math.log(gates[i] / (1 - gates[i])) - math.log(p[i] / (1 - p[i])) for i in alone if 0 < gates[i] < 1]
    if spent < sum(cut.parameters[i] for i in alone) * 0.999 and len(alone) == len(numbers):
        assert logits == pytest.approx([logits[0]] * len(logits), abs=1e-4)


def test_perturbation_keeps_what_is_worth_most_per_parameter_and_not_what_is_probable():
    """The loss falls by a fixed worth of each open gate: 4 and 2 are worth most per parameter."""
    worth, costs = [1.0, 1.0, 8.0, 1.0, 9.0], [4, 4, 4, 4, 3]
    p = [0.5, 0.45, 0.4, 0.35, 0.3]
    cut = Cut(costs, range(5), 7)
    trials, order = played(perturbation(cut, p), lambda t: -sum(w * z for w, z in zip(worth, t.gates, strict=True)))
    assert cut.select(p) == (0, 4)
    assert order[:2] == [4, 2]
    assert cut.select(p, order) == (2, 4)
    whole = trials[0].gates
    assert [trial.gates for trial in trials[1:6]] == [[*whole[:i], 0.0, *whole[i + 1 :]] for i in range(5)]
    assert [sum(z > 0 for z in trial.gates) for trial in trials] == [5, *[4] * 5, 3, *[2] * 3]


def test_perturbation_asks_about_the_most_probable_alone():
    count = 40
    p = [0.5 - 0.01 * i for i in range(count)]
    cut = Cut([1] * count, range(count), 5)
    trials, order = played(perturbation(cut, p), lambda t: -sum(i * z for i, z in enumerate(t.gates)))
    pool = int(POOL * 5)
    assert all(z == 0 for trial in trials for z in trial.gates[pool:])
    assert cut.select(p, order) == tuple(range(pool - 5, pool))
    assert order[pool:] == list(range(pool, count))


def test_a_space_that_fits_is_taken_without_a_question():
    trials, order = played(perturbation(Cut([1, 2], range(2), 3), [0.1, 0.2]), lambda _: 0.0)
    assert (trials, order) == ([], [1, 0])


def test_sampled_takes_the_best_of_the_first_fit_and_what_is_drawn():
    costs, p = [4, 4, 4, 4, 3], [0.5, 0.45, 0.4, 0.35, 0.3]
    cut = Cut(costs, range(5), 8)
    trials, order = played(sampled(cut, p, 30, seed=1), lambda t: float(t.gates != [0, 0, 0, 1, 1]))
    structures = [tuple(i for i, z in enumerate(t.gates) if z) for t in trials]
    assert structures[0] == tuple(sorted(first_fit(p, costs, 8)))
    assert len(set(structures)) == len(structures) == trials[0].total <= 30
    assert cut.select(p, order) == (3, 4)
    # Where none is better, it is the first fit.
    assert played(sampled(cut, p, 30, seed=1), lambda _: 1.0)[1] == by_probability(p)
    assert played(sampled(cut, p, 1, seed=1), lambda _: 1.0)[0][0].total == 1


@pytest.mark.parametrize("family", ["bert", "t5", "bart", "gpt2", "llama"])
def test_the_exact_loss_of_a_bf16_model_is_that_of_its_logits(family):
    model, rows = build(family).bfloat16(), batch(family)
    with torch.no_grad():
        found = exact_loss(model, rows, "fast")
        logits = model(**rows).logits.float()
    labels = rows["labels"]
    if family in ("gpt2", "llama"):
        logits, labels = logits[:, :-1], labels[:, 1:]
    assert found.dtype == torch.float32
    expected = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1), ignore_index=-100)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
