"""The four hypergradients against automatic differentiation through the whole virtual step, in float64."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support import batch, build, loss_under, run_spec, space
from torch.nn.attention import SDPBackend, sdpa_kernel

from core.model.backbone import head_of
from core.model.gated import GatedModel
from core.model.space import place
from core.search import hypergradient
from core.search.bilevel import Problem, SearchState, initial_state, outer_gradient
from core.search.passes import Masks, Noise
from core.training.optim import adamw
from core.training.optim.registry import restored, tensors_of
from core.training.optim.step_scale import scale_of

LR = 1e-2


def make(family: str, scale: str = "shared", **settings) -> tuple[Problem, SearchState]:
    """A problem in float64, a few steps into the search, where no moment is zero."""
    backbone = build(family).double()
    head = () if family.startswith("t5") else head_of(backbone)
    model = GatedModel(backbone, place(space(), backbone), head)
    spec = run_spec("unused", "unused", search=settings).search
    multiples = scale_of(model, scale, spec)
    problem = Problem(model, torch.tensor(model.parameters), 1000, spec, 100, scale=multiples)
    place_ = torch.Generator().manual_seed(4)
    weights = model.initial_weights(0).double()
    weights = weights + 0.1 * torch.randn(weights.shape, generator=place_, dtype=torch.float64)
    state = initial_state(problem, weights)
    running = {
        name: 1e-2 * torch.randn(t.shape, generator=place_, dtype=torch.float64)
        if name == "weights.mean"
        else 1e-3 * torch.rand(t.shape, generator=place_, dtype=torch.float64)
        for name, t in tensors_of(state.weight_state, "weights").items()
    }
    return problem, replace(state, weight_state=restored(state.weight_state, 5, running, "weights"))


def gates(problem: Problem) -> torch.Tensor:
    return torch.rand(len(problem.model.placed), generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def reference(problem: Problem, state: SearchState, z: torch.Tensor, family: str) -> tuple[torch.Tensor, torch.Tensor]:
    """d L_val(w'(z), z) / dz with w'(z) differentiated by autograd itself, and the part of it that holds w' fixed."""
    z = z.clone().requires_grad_()
    weights = state.weights.clone().requires_grad_()
    with sdpa_kernel(SDPBackend.MATH):
        loss = loss_under(problem.model, weights, z, batch(family, seed=1))
        (gradient,) = torch.autograd.grad(loss, weights, create_graph=True)
        if problem.settings.clip_virtual:
            gradient, _ = adamw.clip(gradient, problem.settings.clip)
        lr = LR * problem.scale
        virtual, _ = problem.optimizer.update(state.weights, gradient, state.weight_state, lr)
        (total,) = torch.autograd.grad(loss_under(problem.model, virtual, z, batch(family, seed=2)), z)
        (direct,) = torch.autograd.grad(loss_under(problem.model, virtual.detach(), z, batch(family, seed=2)), z)
    return total, direct


def ours(problem: Problem, state: SearchState, z: torch.Tensor, family: str) -> torch.Tensor:
    noise = Noise(z[None], z[None], Masks([0] * 5))
    batches = [batch(family, seed=1)], [batch(family, seed=2)]
    return outer_gradient(problem, state, z[None], *batches, noise, LR * problem.scale)[0][0]


def error(problem: Problem, state: SearchState, family: str) -> float:
    """The error relative to the correction itself, which is small beside the direct part."""
    z = gates(problem)
    total, direct = reference(problem, state, z, family)
    return ((ours(problem, state, z, family) - total).norm() / (total - direct).norm()).item()


# Of the correction alone, and by how much a radius ten times smaller should improve it: a central difference has an
# error of second order, a forward difference of first.
TOLERANCES = {"exact": 1e-6, "central-difference": 0.1, "forward-difference": 0.5}
ORDERS = {"central-difference": 100, "forward-difference": 10}


@pytest.mark.parametrize("method", TOLERANCES)
# Smooth networks: across the kinks of a ReLU a finite difference sees what a derivative does not.
@pytest.mark.parametrize("family", ["bert", "t5-v1.1"])
@pytest.mark.parametrize("clip", [0.05, 1e6], ids=["clipped", "unclipped"])
@pytest.mark.parametrize("optimizer", ["adamw", "adafactor"])
@pytest.mark.parametrize("scale", ["balanced", "shared"])
def test_it_is_the_gradient_through_the_virtual_step(method, family, clip, optimizer, scale):
    """Of a balanced step too, and with a head that has a rate of its own."""
    head = {} if scale == "shared" else {"learning_rate": LR, "head_learning_rate": LR / 2}
    problem, state = make(family, scale, hypergradient=method, clip=clip, optimizer=optimizer, **head)
    assert error(problem, state, family) < TOLERANCES[method]


@pytest.mark.parametrize("method", ORDERS)
def test_a_finite_difference_improves_with_its_order(method, monkeypatch):
    errors = []
    for radius in (1e-2, 1e-3):
        monkeypatch.setattr(hypergradient, "RADIUS", radius)
        errors.append(error(*make("bert", hypergradient=method), "bert"))
    assert errors[0] / errors[1] == pytest.approx(ORDERS[method], rel=0.5)


@pytest.mark.parametrize("family", ["bert", "t5"])
def test_first_order_is_the_gradient_at_the_weights_as_they_are(family):
    problem, state = make(family, hypergradient="first-order")
    z = gates(problem).requires_grad_()
    (expected,) = torch.autograd.grad(loss_under(problem.model, state.weights, z, batch(family, seed=2)), z)
    torch.testing.assert_close(ours(problem, state, z.detach(), family), expected, rtol=1e-9, atol=1e-12)


def test_shared_dropout_masks_make_finite_differences_measure_the_weights():
    """With the masks of the virtual step, a central difference is the exact product; with others it is noise."""
    errors = {}
    for shared in (True, False):
        results = []
        for method in ("exact", "central-difference"):
            problem, state = make("bert", hypergradient=method, shared_dropout=shared)
            problem.model.backbone.train()
            z = gates(problem)
            noise = Noise.draw(0, 0, len(z), True, shared, z.device)
            batches = [batch("bert", seed=1)], [batch("bert", seed=2)]
            results.append(outer_gradient(problem, state, z[None], *batches, noise, LR)[0])
        errors[shared] = (results[0] - results[1]).norm().item()
    assert errors[True] < 0.1 * errors[False]
