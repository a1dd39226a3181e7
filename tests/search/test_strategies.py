"""Every strategy makes probabilities of alphas as its equation says; those that hold a budget hold it always."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from test_gates import spaces

from core.search.gates import STRATEGIES, l0_penalty, sample, stretched

HOLDING = ["shift", "tau-theta"]
COUNTS = torch.randint(100, 2000, (12,), generator=torch.Generator().manual_seed(1))
# Of a space of 12,500 parameters; at the smallest, tau is above its limit.
BUDGETS = [400.0, 3000.0, 9000.0]


def alphas(spread: float = 1.0) -> torch.Tensor:
    return spread * torch.randn(12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def probabilities(strategy: str, alpha: torch.Tensor, budget: float, temperature: float = 1.0, gradient: str = "exact"):
    return torch.sigmoid(STRATEGIES[strategy](alpha, COUNTS, budget, temperature, gradient)[0])


@pytest.mark.parametrize("strategy", HOLDING)
@settings(max_examples=150, deadline=None)
@given(spaces)
def test_expected_parameters_are_the_budget_whatever_the_alphas(strategy, case):
    alpha, counts, share, temperature = case
    budget = max(1.0, share * sum(counts))
    logits, _ = STRATEGIES[strategy](torch.tensor(alpha), torch.tensor(counts), budget, temperature, "exact")
    p = torch.sigmoid(logits)
    assert p.min() >= 0
    assert p.max() <= 1
    # A p of 1 is kept 1e-7 from it.
    assert (p @ torch.tensor(counts).double()).item() == pytest.approx(budget, rel=1e-6)


@pytest.mark.parametrize("strategy", HOLDING)
@pytest.mark.parametrize("spread", [0.0, 1.0, 20.0])
def test_with_the_whole_space_as_the_budget_every_gate_is_open(strategy, spread):
    alpha = alphas(spread).requires_grad_()
    p = probabilities(strategy, alpha, float(COUNTS.sum()))
    assert p.min() > 1 - 1e-6
    (gradient,) = torch.autograd.grad(p.sum(), alpha)
    assert gradient.isfinite().all()


@pytest.mark.parametrize(
    ("budget", "expected"),
    # softmax of (0, log 3) is (1/4, 3/4); times 1.5 it is above 1, and tau = log 3 / log 2 makes it (1/2, 1).
    [(1.0, [0.25, 0.75]), (0.4, [0.1, 0.3]), (1.5, [0.5, 1.0])],
)
def test_tau_theta_is_a_softmax_scaled_to_the_budget_and_flattened_where_it_exceeds_one(budget, expected):
    alpha = torch.tensor([0.0, math.log(3)])
    logits, shift = STRATEGIES["tau-theta"](alpha, torch.tensor([1, 1]), budget, 1.0, "exact")
    assert shift is None
    torch.testing.assert_close(torch.sigmoid(logits).float(), torch.tensor(expected), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_no_smaller_tau_would_keep_probabilities_at_most_one(budget, temperature):
    alpha = alphas(3.0)
    p = probabilities("tau-theta", alpha, budget, temperature)
    order = alpha.argsort(descending=True)
    log_ratio = (p[order[0]] / p[order[1:]]).log()
    tau = ((alpha[order[0]] - alpha[order[1:]]) / log_ratio).median().item()  # the same for each, but for p near 1
    cooler = torch.softmax(alpha / (0.99 * tau), 0)
    largest = (cooler * budget / (cooler @ COUNTS.double())).max()
    assert tau == pytest.approx(temperature, rel=1e-4) or largest > 1
    assert tau >= temperature * (1 - 1e-4)


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("temperature", [0.3, 1.0])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_exact_gradient_is_that_of_finite_differences(strategy, budget, temperature):
    direction = torch.randn(12, generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    def objective(alpha: torch.Tensor) -> torch.Tensor:
        return probabilities(strategy, alpha, budget, temperature) @ direction

    variable = alphas().requires_grad_()
    (gradient,) = torch.autograd.grad(objective(variable), variable)
    for i in range(12):
        unit = torch.zeros(12, dtype=torch.float64)
        unit[i] = 1e-5
        difference = (objective(alphas() + unit) - objective(alphas() - unit)) / 2e-5
        # Probabilities are kept 1e-7 below 1, with a kink there.
        assert gradient[i].item() == pytest.approx(difference.item(), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("strategy", HOLDING)
def test_the_exact_gradient_keeps_the_budget(strategy, budget):
    alpha = alphas().requires_grad_()
    (gradient,) = torch.autograd.grad(probabilities(strategy, alpha, budget) @ COUNTS.double(), alpha)
    assert gradient.abs().max() < 1e-3


@pytest.mark.parametrize("spread", [0.1, 3.0])
def test_the_paper_gradient_of_tau_theta_holds_tau_and_theta_fixed(spread):
    alpha, direction = alphas(spread).requires_grad_(), torch.linspace(-1, 1, 12, dtype=torch.float64)
    p = probabilities("tau-theta", alpha, 3000.0, gradient="paper")
    closed = p.detach() < 1 - 1e-6  # the gradient of the others is cut off
    order = alpha.detach().argsort()
    tau = ((alpha[order[1]] - alpha[order[0]]) / (p[order[1]] / p[order[0]]).log()).item()
    theta = 3000 / (torch.softmax(alpha.detach() / tau, 0) @ COUNTS.double())
    expected = torch.autograd.grad((theta * torch.softmax(alpha / tau, 0) * direction)[closed].sum(), alpha)
    ours = torch.autograd.grad((p * direction)[closed].sum(), alpha)
    assert closed.all() == (spread < 1)
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-9)


def test_l0_knows_of_no_budget():
    alpha = alphas()
    for budget in BUDGETS:
        assert torch.equal(probabilities("l0", alpha, budget, 2.0), torch.sigmoid(alpha / 2))


@pytest.mark.parametrize(("low", "high"), [(-0.1, 1.1), (-0.5, 1.2)])
@pytest.mark.parametrize("hard", [False, True])
def test_the_penalty_is_the_expected_number_of_open_gates(low, high, hard):
    logits = torch.tensor([-3.0, -1.0, 0.5, 2.0], dtype=torch.float64)
    u = torch.rand(40_000, 4, generator=torch.Generator().manual_seed(0))
    drawn = (sample(logits, u, hard, low=low, high=high) > 0).double().sum(1).mean()
    assert l0_penalty(logits, low, high, hard).item() == pytest.approx(drawn.item(), abs=0.02)


def test_the_penalty_by_hand():
    # -l / r = 1/11, so that a gate of p = 1/2 is closed with probability 1/12.
    assert l0_penalty(torch.zeros(3, dtype=torch.float64), -0.1, 1.1).item() == pytest.approx(3 * 11 / 12)


def test_a_stretched_gate_is_closed_or_open_at_times_and_half_open_as_often_as_before():
    logits = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
    u = torch.rand(20_000, 3, generator=torch.Generator().manual_seed(0))
    plain, wide = sample(logits, u), sample(logits, u, low=-0.1, high=1.1)
    assert ((plain > 0) & (plain < 1)).all()
    assert (wide == 0).any(0).all()
    assert (wide == 1).any(0).all()
    assert torch.equal(plain > 0.5, wide > 0.5)
    torch.testing.assert_close(stretched(torch.tensor([0.0, 0.25, 1.0]), -0.1, 1.1), torch.tensor([0.0, 0.2, 1.0]))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_alpha_that_is_nan_gives_no_plausible_gate(strategy):
    logits, _ = STRATEGIES[strategy](
        torch.tensor([0.0, float("nan"), 1.0]), torch.tensor([9, 9, 9]), 15.0, 1.0, "exact"
    )
    assert logits.isnan().any()
