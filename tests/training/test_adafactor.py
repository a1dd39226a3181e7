"""The pure Adafactor is that of transformers, and its derivative is that of its step."""

from __future__ import annotations

import pytest
import torch
from transformers.optimization import Adafactor as Theirs

from core.training.optim.adafactor import Adafactor

SHAPES = [(5,), (2, 3), (4, 2), (2, 3), (3,), (1, 6), (2, 2, 3)]
SIZES = [torch.Size(shape).numel() for shape in SHAPES]


def vectors(count: int) -> list[torch.Tensor]:
    place = torch.Generator().manual_seed(3)
    # Large ones too, so that the size of a step is limited for some tensors.
    return [torch.randn(sum(SIZES), generator=place, dtype=torch.float64) * (1 + 4 * i) for i in range(count)]


def ours() -> Adafactor:
    return Adafactor(SHAPES, torch.device("cpu"))


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_its_steps_are_those_of_transformers(weight_decay):
    start = torch.linspace(-1, 1, sum(SIZES), dtype=torch.float64)
    theirs = [torch.nn.Parameter(t.view(s).clone()) for t, s in zip(start.split(SIZES), SHAPES, strict=True)]
    optimizer = Theirs(theirs, lr=0.01, weight_decay=weight_decay, scale_parameter=False, relative_step=False)
    weights, state = start, ours().initial(start)
    for gradient in vectors(5):
        for parameter, part in zip(theirs, gradient.split(SIZES), strict=True):
            parameter.grad = part.view_as(parameter).clone()
        optimizer.step()
        weights, state = ours().update(weights, gradient, state, 0.01, weight_decay)
    expected = torch.cat([parameter.detach().flatten() for parameter in theirs])
    torch.testing.assert_close(weights, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("steps_before", [0, 3])
def test_its_derivative_is_that_of_the_step(steps_before):
    optimizer = ours()
    weights = torch.linspace(-1, 1, sum(SIZES), dtype=torch.float64)
    state = optimizer.initial(weights)
    *before, gradient, direction = vectors(steps_before + 2)
    for earlier in before:
        weights, state = optimizer.update(weights, earlier, state, 0.01)

    def step(g: torch.Tensor) -> torch.Tensor:
        return optimizer.update(weights, g, state, 0.01)[0]

    expected = direction @ torch.autograd.functional.jacobian(step, gradient)
    torch.testing.assert_close(optimizer.vjp(gradient, state, 0.01, direction), expected, rtol=1e-7, atol=1e-10)


def test_the_derivative_is_finite_in_fp32_where_gradients_are_zero():
    optimizer, weights = ours(), torch.zeros(sum(SIZES))
    gradient = vectors(1)[0].float()
    gradient[: sum(SIZES) // 2] = 0
    pulled = optimizer.vjp(gradient, optimizer.initial(weights), 0.01, torch.ones_like(weights))
    assert pulled.isfinite().all()
    assert (pulled[gradient == 0] == 0).all()
    assert (pulled != 0).any()
