"""Gates of alternatives: at most one is open, and the budget counts what is chosen."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from core.search.alternatives import Choices
from core.search.gates import sample, shift_logits, solve_shift

CPU = torch.device("cpu")
# Two choices, of three and of two candidates, between candidates that stand alone.
FIRST = [0, 1, 1, 1, 4, 5, 6, 5]
COUNTS = torch.tensor([30, 10, 20, 40, 25, 100, 60, 200])
GROUPS = [[1, 2, 3], [5, 7]]
CHOICES = Choices.of(FIRST, CPU)
SINGLE = [0, 4, 6]

alphas = st.lists(st.floats(-20, 20), min_size=8, max_size=8).map(lambda values: torch.tensor(values))


def probabilities(alpha: torch.Tensor, budget: float) -> torch.Tensor:
    return torch.sigmoid(shift_logits(alpha, COUNTS, budget, choices=CHOICES)[0])


@given(alphas, st.integers(1, 150))
def test_the_expected_parameters_are_the_budget_and_alternatives_sum_to_one_at_most(alpha, budget):
    p = probabilities(alpha, budget)
    for group in GROUPS:
        assert p[group].sum() <= 1 + 1e-9
    whole = p[SINGLE].sum() > 3 - 1e-6 and all(p[group].sum() > 1 - 1e-6 for group in GROUPS)
    # What all alternatives weigh by their alphas may be less than the budget; then everything is open.
    assert whole or (p @ COUNTS.double()).item() == pytest.approx(budget, rel=1e-6)


def test_a_choice_is_a_softmax_against_being_closed():
    alpha = torch.tensor([0.3, 1.0, -0.5, 0.2, 0.0, 2.0, -1.0, 0.7])
    shift = solve_shift(alpha, COUNTS, 90.0, choices=CHOICES)
    a = (alpha.double() - shift).exp()
    p = probabilities(alpha, 90.0)
    for group in GROUPS:
        torch.testing.assert_close(p[group], a[group] / (1 + a[group].sum()))
    torch.testing.assert_close(p[SINGLE], a[SINGLE] / (1 + a[SINGLE]))


def test_the_gradient_through_the_shift_keeps_the_expected_parameters():
    alpha = torch.tensor([0.3, 1.0, -0.5, 0.2, 0.0, 2.0, -1.0, 0.7], dtype=torch.float64)
    c = torch.linspace(-1, 1, 8, dtype=torch.float64)

    def value(at: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(shift_logits(at, COUNTS, 90.0, choices=CHOICES)[0])

    leaf = alpha.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(value(leaf) @ c, leaf)
    (of_spent,) = torch.autograd.grad(value(leaf) @ COUNTS.double(), leaf)
    torch.testing.assert_close(of_spent, torch.zeros(8, dtype=torch.float64), rtol=0, atol=1e-9)
    for i in range(8):
        step = torch.zeros(8, dtype=torch.float64)
        step[i] = 1e-4
        slope = (value(alpha + step) - value(alpha - step)) @ c / 2e-4
        assert gradient[i].item() == pytest.approx(slope.item(), rel=1e-4, abs=1e-8)


def test_hard_samples_open_at_most_one_alternative_each_as_often_as_p_says():
    logits = shift_logits(torch.tensor([0.3, 1.0, -0.5, 0.2, 0.0, 2.0, -1.0, 0.7]), COUNTS, 90.0, choices=CHOICES)[0]
    draws = torch.rand(40_000, 8, generator=torch.Generator().manual_seed(0))
    z = torch.stack([sample(logits, u, hard=True, choices=CHOICES) for u in draws])
    assert set(z.unique().tolist()) == {0.0, 1.0}
    assert all(z[:, group].sum(1).max() <= 1 for group in GROUPS)
    torch.testing.assert_close(z.double().mean(0), torch.sigmoid(logits), rtol=0, atol=0.01)
    spent = (z.double() @ COUNTS.double()).mean().item()
    assert spent == pytest.approx(90.0, rel=0.03)


@given(alphas, st.integers(0, 10_000))
def test_soft_gates_of_alternatives_sum_to_one_at_most(alpha, seed):
    u = torch.rand(8, generator=torch.Generator().manual_seed(seed))
    z = sample(shift_logits(alpha, COUNTS, 90.0, choices=CHOICES)[0], u, choices=CHOICES)
    assert all(z[group].sum() <= 1 + 1e-6 for group in GROUPS)
    assert ((z >= 0) & (z <= 1)).all()


def test_candidates_without_alternatives_are_sampled_as_if_there_were_no_choices():
    logits = torch.tensor([-1.0, 0.5, 2.0, 0.1, 0.0, -3.0, 1.0, -1.0], dtype=torch.float64)
    u = torch.rand(8, generator=torch.Generator().manual_seed(3))
    assert torch.equal(sample(logits, u, choices=CHOICES)[SINGLE], sample(logits, u)[SINGLE])
    assert Choices.of(list(range(8)), CPU) is None


def test_the_gradient_reaches_every_alpha_through_a_sample():
    alpha = torch.zeros(8, requires_grad=True)
    for hard in (False, True):
        z = sample(shift_logits(alpha, COUNTS, 90.0, choices=CHOICES)[0], torch.full((8,), 0.4), hard, CHOICES)
        (gradient,) = torch.autograd.grad((z * torch.linspace(-1, 2, 8)).sum(), alpha)
        assert gradient.isfinite().all()
        assert (gradient != 0).all()
