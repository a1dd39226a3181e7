"""The gates hold the budget whatever the alphas, and are those of the paper's code."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support import DATA

from core.search.gates import sample, shift_logits, solve_shift

ORACLE = json.loads((DATA / "gates-t5-small.json").read_text())
COUNTS = torch.tensor([position["params"] for position in ORACLE["positions"]])
# The original refuses budgets above the space, as we do.
CASES = [case for case in ORACLE["cases"] if case["allowed_by_search_py"]]
every_case = pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['alpha']}-{c['relative']}")


def alphas(case: dict) -> torch.Tensor:
    return torch.tensor(ORACLE["alphas"][case["alpha"]])


@every_case
def test_shift_and_p_are_those_of_the_paper(case):
    # Its equation has the budget times (1 - 1e-7).
    logits, shift = shift_logits(alphas(case), COUNTS, case["budget_params"] * (1 - 1e-7))
    assert shift.item() == pytest.approx(case["bia_exact_brentq_of_same_equation"], abs=1e-6)
    torch.testing.assert_close(torch.sigmoid(logits).float(), torch.tensor(case["p_delta"]), rtol=1e-5, atol=1e-7)


@every_case
@pytest.mark.parametrize("noise", ["rand(seed11)", "rand(seed12)"])
def test_soft_samples_are_those_of_the_paper(case, noise):
    logits, _ = shift_logits(alphas(case), COUNTS, case["budget_params"] * (1 - 1e-7))
    z = sample(logits, torch.tensor(ORACLE["us"][noise]))
    torch.testing.assert_close(z, torch.tensor(case["z_train"][noise]), rtol=1e-4, atol=1e-6)


@every_case
def test_hard_samples_are_those_of_the_paper(case):
    logits, _ = shift_logits(alphas(case), COUNTS, case["budget_params"] * (1 - 1e-7))
    for noise, expected in case["z_train_hard"].items():
        z = sample(logits, torch.tensor(ORACLE["us"][noise]), hard=True)
        if z.sum() == 0:  # the original then opens the most probable gate; ours stays with what was drawn
            assert sum(expected) <= 1
        else:
            assert torch.equal(z, torch.tensor(expected))


@every_case
@pytest.mark.parametrize("noise", ["rand(seed11)", "rand(seed12)"])
def test_the_paper_gradient_is_that_of_the_paper(case, noise):
    alpha = alphas(case).requires_grad_()
    logits, _ = shift_logits(alpha, COUNTS, case["budget_params"] * (1 - 1e-7), gradient="paper")
    z = sample(logits, torch.tensor(ORACLE["us"][noise]))
    (gradient,) = torch.autograd.grad((z * torch.linspace(-1, 1, len(z))).sum(), alpha)
    expected = torch.tensor(case["dalpha_of_sum_c_z"][f"{noise},shift_detach=True"])
    # Written in the order of the original's modules, not of its candidates.
    order = ORACLE["order_of_alphas_model_as_position_index"]
    torch.testing.assert_close(gradient[order], expected, rtol=1e-3, atol=1e-5)


spaces = st.integers(2, 40).flatmap(
    lambda n: st.tuples(
        st.lists(st.one_of(st.floats(-50, 50, width=32), st.sampled_from([-50.0, 0.0, 50.0])), min_size=n, max_size=n),
        st.lists(st.integers(1, 100_000), min_size=n, max_size=n),
        st.floats(0.001, 0.999),
        st.sampled_from([0.1, 1.0, 3.0]),
    )
)


@settings(max_examples=300, deadline=None)
@given(spaces)
def test_expected_parameters_are_the_budget_whatever_the_alphas(case):
    alpha, counts, share, temperature = case
    budget = max(1.0, share * sum(counts))
    logits, _ = shift_logits(torch.tensor(alpha), torch.tensor(counts), budget, temperature)
    expected = (torch.sigmoid(logits) @ torch.tensor(counts).double()).item()
    assert expected == pytest.approx(budget, rel=1e-6)


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_the_exact_gradient_is_that_of_finite_differences(temperature):
    place = torch.Generator().manual_seed(0)
    alpha = torch.randn(12, generator=place, dtype=torch.float64)
    counts = torch.randint(100, 2000, (12,), generator=place)
    direction = torch.randn(12, generator=place, dtype=torch.float64)

    def objective(a: torch.Tensor) -> torch.Tensor:
        logits, _ = shift_logits(a, counts, 3000.0, temperature)
        return (torch.sigmoid(logits) * direction).sum()

    variable = alpha.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(objective(variable), variable)
    step = 1e-5
    for i in range(12):
        unit = torch.zeros(12, dtype=torch.float64)
        unit[i] = step
        difference = (objective(alpha + unit) - objective(alpha - unit)) / (2 * step)
        assert gradient[i].item() == pytest.approx(difference.item(), rel=1e-5, abs=1e-9)


def test_the_exact_gradient_keeps_the_budget():
    alpha = torch.randn(30, generator=torch.Generator().manual_seed(0)).requires_grad_()
    counts = torch.arange(1, 31) * 100
    logits, _ = shift_logits(alpha, counts, 9000.0)
    (gradient,) = torch.autograd.grad(torch.sigmoid(logits) @ counts.double(), alpha)
    assert gradient.abs().max() < 1e-4


def test_a_gate_is_more_than_half_open_with_probability_p():
    logits = torch.logit(torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64))
    u = torch.rand(20_000, 3, generator=torch.Generator().manual_seed(0))
    share = (sample(logits, u) > 0.5).double().mean(0)
    torch.testing.assert_close(share, torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64), rtol=0, atol=0.015)


def test_hard_gates_pass_the_gradient_of_soft_ones():
    logits = torch.tensor([-1.0, 0.5, 2.0], dtype=torch.float64, requires_grad=True)
    u = torch.tensor([0.3, 0.6, 0.5])
    soft, hard = sample(logits, u), sample(logits, u, hard=True)
    assert torch.equal(hard, (soft > 0.5).float())
    weights = torch.tensor([1.0, -2.0, 3.0])
    expected, got = (torch.autograd.grad((z * weights).sum(), logits)[0] for z in (soft, hard))
    assert torch.equal(expected, got)


def test_an_alpha_that_is_nan_gives_no_plausible_gate():
    alpha = torch.tensor([0.0, float("nan"), 1.0])
    counts = torch.tensor([10, 10, 10])
    assert solve_shift(alpha, counts, 15.0).isnan()
    assert shift_logits(alpha, counts, 15.0)[0].isnan().all()
