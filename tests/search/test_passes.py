"""What a step differentiates: the mean loss of all its batches, with or without checkpointing, gates pass by pass."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support import batch, build, loss_under, run_spec, space

from core.model.backbone import head_of
from core.model.gated import GatedModel
from core.model.space import place
from core.run.errors import SpecError
from core.search.bilevel import Problem, initial_state, one_level_step, outer_gradient
from core.search.passes import SECOND, THIRD, VALIDATION, VIRTUAL, WEIGHTS, Masks, Noise, TrainPasses
from core.training.data import Batch
from core.training.gradient_checkpointing import checkpointed

FAMILIES = ["bert", "t5", "distilbert"]


def gated(family: str) -> tuple[GatedModel, torch.Tensor, torch.Tensor]:
    """A model with weights away from their start, and gates."""
    backbone = build(family)
    head = () if family.startswith("t5") else head_of(backbone)
    model = GatedModel(backbone, place(space(), backbone), head)
    place_ = torch.Generator().manual_seed(7)
    weights = model.initial_weights(0)
    weights = weights + 0.1 * torch.randn(weights.shape, generator=place_)
    return model, weights, torch.rand(1, len(model.placed), generator=place_)


def joined(batches: list[Batch]) -> Batch:
    return {key: torch.cat([b[key] for b in batches]) for key in batches[0]}


@pytest.mark.parametrize("family", FAMILIES)
def test_several_batches_have_the_gradients_of_all_their_examples_at_once(family):
    model, weights, gates = gated(family)
    batches = [batch(family, rows=rows, seed=rows) for rows in (6, 6, 2)]
    apart = TrainPasses(model, batches, gates, Masks([0]), [0]).all_gradients(weights)
    together = TrainPasses(model, [joined(batches)], gates, Masks([0]), [0]).all_gradients(weights)
    for one, other in zip(apart, together, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_checkpointed_layers_are_computed_again_and_change_no_gradient(family):
    model, weights, gates = gated(family)
    direction = torch.ones_like(weights)
    model.backbone.train()
    calls = []
    layer = model.backbone.get_submodule(model.placed[0].candidate.module)
    layer.register_forward_hook(lambda *_: calls.append(1))

    def everything() -> tuple[list[torch.Tensor], int]:
        passes = TrainPasses(model, [batch(family)], gates, Masks([11] * 3), range(3))
        found = [*passes.all_gradients(weights), passes.mixed_product(weights, direction)]
        count = len(calls)
        calls.clear()
        return found, count

    plain, once = everything()
    with checkpointed(model.backbone, True, "fast"):
        again, twice = everything()
    assert twice > once
    for one, other in zip(plain, again, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    assert everything()[1] == once


def test_a_model_that_cannot_checkpoint_is_refused():
    with (
        pytest.raises(SpecError, match="leave gradient_checkpointing"),
        checkpointed(torch.nn.Linear(2, 2), True, "fast"),
    ):
        pass


def problem_of(family: str, **settings: object) -> tuple[Problem, torch.Tensor]:
    model, weights, _ = gated(family)
    spec = run_spec("unused", "unused", search=settings).search
    return Problem(model, torch.tensor(model.parameters), 1000, spec, 100), weights


@pytest.mark.parametrize(
    ("hypergradient", "seen"),
    [
        ("first-order", {VALIDATION}),
        ("forward-difference", {VIRTUAL, VALIDATION, SECOND}),
        ("central-difference", {VALIDATION, SECOND, THIRD}),
        ("exact", {VALIDATION, SECOND}),
    ],
)
def test_gates_drawn_anew_for_each_pass_are_differentiated_pass_by_pass(hypergradient, seen):
    problem, weights = problem_of("bert", hypergradient=hypergradient)
    state = replace(initial_state(problem, weights), weights=weights)
    noise = Noise.draw(0, 0, len(problem.model.placed), False, True, weights.device)
    assert len({tuple(row.tolist()) for row in noise.outer}) == WEIGHTS
    z = problem.sample(problem.logits(state.alpha, 0)[0], noise.outer)
    batches = [batch("bert", seed=1)], [batch("bert", seed=2)]
    apart, _ = outer_gradient(problem, state, z, *batches, noise, 1e-2)
    assert {number for number, row in enumerate(apart) if row.any()} == seen
    equal, loss = outer_gradient(problem, state, z[:1].expand(WEIGHTS, -1), *batches, noise, 1e-2)
    shared, same_loss = outer_gradient(problem, state, z[:1], *batches, noise, 1e-2)
    assert torch.equal(loss, same_loss)
    torch.testing.assert_close(equal.sum(0), shared[0], rtol=1e-2, atol=1e-3)


def test_one_level_moves_alphas_and_weights_down_the_gradients_of_one_pass():
    problem, weights = problem_of("bert", bilevel=False, clip=1e6)
    state = initial_state(problem, weights)
    noise = Noise.draw(0, 0, len(problem.model.placed), True, True, weights.device)
    after, metrics = one_level_step(problem, state, [batch("bert")], noise)
    alpha, w = state.alpha.clone().requires_grad_(), weights.clone().requires_grad_()
    z = problem.sample(problem.logits(alpha, 0)[0], noise.weights)[0]
    loss = loss_under(problem.model, w, z, batch("bert"))
    to_alpha, to_weights = torch.autograd.grad(loss, (alpha, w))
    assert metrics.validation_loss is None
    assert metrics.train_loss.item() == pytest.approx(loss.item(), rel=1e-6)
    assert metrics.gradient_norm.item() == pytest.approx(to_weights.norm().item(), rel=1e-4)
    # The first step of AdamW goes down the sign of the gradient.
    lr, alpha_lr = problem.rates(0)
    moved = to_alpha.abs() > 1e-5
    torch.testing.assert_close(after.alpha[moved], -alpha_lr * to_alpha[moved].sign(), rtol=1e-3, atol=0)
    moved = to_weights.abs() > 1e-4
    torch.testing.assert_close((after.weights - weights)[moved], -lr * to_weights[moved].sign(), rtol=1e-2, atol=1e-5)


def test_the_penalty_of_l0_pulls_the_alphas_down():
    moves = {}
    for weight in (0.0, 1e3):
        problem, weights = problem_of("bert", strategy="l0", l0_lambda=weight, bilevel=False)
        noise = Noise.draw(0, 0, len(problem.model.placed), True, True, weights.device)
        moves[weight] = one_level_step(problem, initial_state(problem, weights), [batch("bert")], noise)[0].alpha
    assert (moves[1e3] < 0).all()
    assert (moves[0.0] > 0).any()


def test_budget_and_temperature_follow_their_schedules():
    problem, _ = problem_of("bert", budget_decay_steps=4, temperature=5.0, final_temperature=1.0)
    whole = sum(problem.model.parameters)
    fall = whole - 1000
    assert [problem.budget_at(s) for s in (0, 1, 4, 99)] == [whole, 1000 + 0.75 * fall, 1000, 1000]
    assert [problem.temperature_at(s) for s in (0, 99, 100)] == [5.0, 1.0, 1.0]
    assert problem.temperature_at(33) == pytest.approx(5 - 4 / 3)
    alpha = torch.zeros(len(problem.model.placed))
    for step in (0, 1, 4):
        p = torch.sigmoid(problem.logits(alpha, step)[0])
        assert (p @ problem.parameters.double()).item() == pytest.approx(problem.budget_at(step), rel=1e-6)
        p = torch.sigmoid(problem.final_logits(alpha, step))
        assert (p @ problem.parameters.double()).item() == pytest.approx(1000, rel=1e-6)
