"""The pure AdamW is torch's, and its derivative is that of its step."""

from __future__ import annotations

import pytest
import torch

from core.training.optim import adamw


def gradients(steps: int) -> list[torch.Tensor]:
    place = torch.Generator().manual_seed(3)
    return [torch.randn(20, generator=place, dtype=torch.float64) for _ in range(steps)]


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_its_steps_are_those_of_torch(weight_decay):
    start = torch.linspace(-1, 1, 20, dtype=torch.float64)
    theirs = torch.nn.Parameter(start.clone())
    optimizer = torch.optim.AdamW([theirs], lr=0.01, weight_decay=weight_decay)
    ours, moments = start, adamw.initial(start)
    for gradient in gradients(7):
        theirs.grad = gradient.clone()
        optimizer.step()
        ours, moments = adamw.update(ours, gradient, moments, 0.01, weight_decay)
    torch.testing.assert_close(ours, theirs.detach(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("steps_before", [0, 5])
def test_its_derivative_is_that_of_the_step(steps_before):
    weights = torch.linspace(-1, 1, 20, dtype=torch.float64)
    moments = adamw.initial(weights)
    *before, gradient = gradients(steps_before + 1)
    for earlier in before:
        weights, moments = adamw.update(weights, earlier, moments, 0.01)
    variable = gradient.clone().requires_grad_()
    (expected,) = torch.autograd.grad(adamw.update(weights, variable, moments, 0.01)[0].sum(), variable)
    torch.testing.assert_close(adamw.derivative(gradient, moments, 0.01), expected, rtol=1e-7, atol=1e-12)


def test_the_derivative_is_finite_where_the_gradient_was_always_zero():
    weights = torch.zeros(3)
    assert adamw.derivative(torch.zeros(3), adamw.initial(weights), 0.01).isfinite().all()


@pytest.mark.parametrize("largest", [0.5, 100.0])
def test_clipping_and_its_jacobian_agree(largest):
    gradient, direction = gradients(2)
    variable = gradient.clone().requires_grad_()
    clipped, norm = adamw.clip(variable, largest)
    assert clipped.norm() <= max(largest, 0) + 1e-9 or largest > norm
    assert norm.item() == pytest.approx(gradient.norm().item())
    (expected,) = torch.autograd.grad(clipped @ direction, variable)
    torch.testing.assert_close(adamw.clip_transpose(gradient, largest, direction), expected, rtol=1e-5, atol=1e-6)


def test_the_rate_rises_over_the_warm_up_and_falls_to_zero():
    rates = [adamw.linear_decay(step, total=10, warmup=2) for step in range(11)]
    assert rates[:3] == [0.0, 0.5, 1.0]
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[10] == 0.0
    assert adamw.linear_decay(0, total=10) == 1.0


@pytest.mark.parametrize(("total", "steps"), [(100, 10), (25, 3), (2, 1)])
def test_a_warm_up_below_one_is_a_share_of_all_steps(total, steps):
    shared, counted = ([adamw.linear_decay(s, total, w) for s in range(total + 1)] for w in (0.1, steps))
    assert shared == counted
