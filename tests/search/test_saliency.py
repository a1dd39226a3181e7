"""Saliency: both criteria against plain autograd, LoRA's best direction against an explicit SVD, and sketches."""

from __future__ import annotations

import pytest
import torch
from support import batch, build, loss_under, space
from torch import nn

from core.model.gated import GatedModel
from core.model.space import place
from core.search.scores import Direction, Parts, opened
from core.search.sketch import Probe, recorded

TABLE = {"attn.{q,v}": ["lora(rank=[1, 2, 4])", "bitfit"], "ffn.out": ["lora(rank=2)"], "norm.*": ["lnfit"]}
TABLE |= {"block.ffn": ["adapter(bottleneck=[2, 4])"]}
HEAD_NAMES = ["classifier.weight", "classifier.bias"]
BATCHES = 3


def gradients(model: GatedModel, seed: int) -> tuple[torch.Tensor, dict]:
    """The gradient of one batch to all weights, and what the layers with LoRAs have seen."""
    weights = model.initial_weights(0).requires_grad_()
    paths = sorted({one.module for one in Direction.all_of(model.placed)})
    with recorded(model.backbone, paths) as pairs:
        loss = loss_under(model, weights, opened(model), batch("bert", seed=seed))
        (gradient,) = torch.autograd.grad(loss, weights)
    return gradient, dict(pairs)


@pytest.fixture(scope="module")
def model() -> GatedModel:
    backbone = build("bert")
    return GatedModel(backbone, place(space(TABLE), backbone), HEAD_NAMES)


@pytest.fixture(scope="module")
def frozen() -> list[dict[str, torch.Tensor]]:
    """The gradients of the same batches to the model's own weights, from a copy that trains all of them."""
    plain = build("bert").requires_grad_()
    found = []
    for seed in range(BATCHES):
        plain.zero_grad()
        plain(**batch("bert", seed=seed)).loss.backward()
        found.append({name: p.grad.clone() for name, p in plain.named_parameters() if p.grad is not None})
    return found


def test_scores_are_those_of_autograd(model, frozen):
    """BitFits and LNFits change biases and weights of the model, whose gradients autograd gives."""
    own = torch.stack([gradients(model, seed)[0] for seed in range(BATCHES)])
    taylor, fisher = Parts(model).taylor(own.mean(0)), Parts(model).fisher(own.square().mean(0))
    seen = 0
    for i, placed in enumerate(model.placed):
        kind = {"bitfit": "bias", "lnfit": "weight"}.get(placed.candidate.delta)
        if kind:
            g = torch.stack([one[f"{placed.candidate.module}.{kind}"] for one in frozen]).double()
            assert taylor[i].item() == pytest.approx(g.mean(0).abs().sum().item(), rel=1e-4, abs=1e-7)
            assert fisher[i].item() == pytest.approx(g.square().mean(0).sum().item(), rel=1e-4, abs=1e-9)
            seen += 1
    assert seen == 4 + 4
    assert all(taylor[i] == fisher[i] == 0 for i, p in enumerate(model.placed) if p.candidate.delta.startswith("lora"))


def test_taylor_is_the_slope_of_the_loss_along_the_first_step():
    """Of an adapter that is there alone: moved by t times a balanced step, the loss falls by t times the score."""
    backbone = build("bert").double()
    model = GatedModel(backbone, place(space({"block.ffn": ["adapter(bottleneck=4)"]}), backbone)[:1])
    weights, gates, examples = model.initial_weights(0).double(), opened(model), batch("bert")
    leaf = weights.clone().requires_grad_()
    (g,) = torch.autograd.grad(loss_under(model, leaf, gates, examples), leaf)
    step = 1e-6 * g.sign() * model.balanced()
    slope = (
        loss_under(model, weights + step, gates, examples) - loss_under(model, weights - step, gates, examples)
    ) / 2
    assert Parts(model).taylor(g).item() == pytest.approx(slope.item() / 1e-6, rel=1e-4)


def test_a_smaller_alternative_is_scored_by_its_part(model):
    g = gradients(model, 0)[0]
    score = Parts(model).taylor(g)
    for i, placed in enumerate(model.placed):
        if placed.candidate.delta == "adapter(bottleneck=2)":
            largest = next(
                k for k, p in enumerate(model.placed)
                if p.candidate.module == placed.candidate.module and p.candidate.delta == "adapter(bottleneck=4)"
            )  # fmt: skip
            tensors = {
                s.name: t
                for s, t in zip(model.layout.slots, model.layout.tensors(g), strict=True)
                if s.owner == largest
            }
            own = placed.delta.weights(placed.site)
            expected = own["up.weight"].rate * tensors["up.weight"][:, :2].abs().sum()
            expected += own["up.bias"].rate * tensors["up.bias"].abs().sum()
            assert score[i].item() == pytest.approx(expected.item(), rel=1e-4)


def test_a_lora_is_scored_by_the_singular_vectors_of_the_gradient_to_its_weight(model, frozen):
    directions = Direction.all_of(model.placed)
    assert len(directions) == 4 * 3 + 2
    for one in directions:
        probe = Probe.draw(0, one.module, one.shape, one.rank, torch.device("cpu"))
        seen = [gradients(model, seed)[1][one.module] for seed in range(BATCHES)]
        y, z = sum(map(probe.of_inputs, seen)) / BATCHES, sum(map(probe.of_outputs, seen)) / BATCHES
        n = sum(probe.gram(pairs, probe.of_inputs(pairs)) for pairs in seen) / BATCHES
        g = torch.stack([f[f"{one.module}.weight"] for f in frozen]).double()

        _, s, vt = torch.linalg.svd(g.mean(0), full_matrices=False)
        # B gets the gradient (alpha / r) G A^T, and moves by its rate; the rows of A are as long as at their start.
        delta = model.placed[one.number].delta
        rate = delta.weights(model.placed[one.number].site)["lora_B"].rate
        best = vt[: one.rank] / 3**0.5
        taylor = rate * (delta.factor * g.mean(0) @ best.T).abs().sum()
        assert one.taylor(*probe.directions(y, z)).item() == pytest.approx(taylor.item(), rel=1e-3)
        torch.testing.assert_close(probe.directions(y, z)[0][:4], s[:4], rtol=1e-3, atol=1e-6)

        e = torch.linalg.eigvalsh((g.mT @ g).mean(0)).flip(0)
        fisher = (rate * delta.factor) ** 2 / 3 * e[: one.rank].sum()
        assert one.fisher(probe.squares(n)).item() == pytest.approx(fisher.item(), rel=1e-3)


def test_no_random_direction_does_better_than_the_best_one(model, frozen):
    """Of all A of one row at its length, the gradient to B is largest for the first singular vector."""
    place_ = torch.Generator().manual_seed(0)
    for one in Direction.all_of(model.placed):
        if one.rank == 1:
            g = frozen[0][f"{one.module}.weight"]
            rows = torch.nn.functional.normalize(torch.randn(200, g.shape[1], generator=place_))
            assert (g @ rows.T).norm(dim=0).max() <= torch.linalg.matrix_norm(g, 2)


@pytest.mark.parametrize("shape", [(200, 150), (150, 200), (40, 300), (300, 40)])
def test_a_sketch_finds_the_first_directions_of_a_large_gradient(shape):
    """Singular values that fall as 1/k^2, of a sum over tokens; the sketch is a third of the gradient or less."""
    place_, (out, inputs) = torch.Generator().manual_seed(0), shape
    tokens = min(shape)
    g, _ = torch.linalg.qr(torch.randn(out, tokens, generator=place_))
    x, _ = torch.linalg.qr(torch.randn(inputs, tokens, generator=place_))
    size = 1 / torch.arange(1, tokens + 1) ** 2
    pairs = [(x.T[i::3], (g * size).T[i::3]) for i in range(3)]  # a module that is called three times
    probe = Probe.draw(0, "layer", shape, 4, torch.device("cpu"))
    y, z = probe.of_inputs(pairs), probe.of_outputs(pairs)
    values, left = probe.directions(y, z)
    torch.testing.assert_close(values[:4].float(), size[:4], rtol=0.02, atol=0)
    torch.testing.assert_close((left[:, :3].float() * g[:, :3]).sum(0).abs(), torch.ones(3), rtol=0.02, atol=0)
    torch.testing.assert_close(probe.squares(probe.gram(pairs, y))[:4].float(), size[:4] ** 2, rtol=0.02, atol=0)


def test_a_tiny_linear_model_by_hand():
    """y = W x, loss = y . t: the gradient to W is t x^T, of rank one, with |t| |x| as its singular value."""
    layer = nn.Linear(3, 2, bias=False)
    x, t = torch.tensor([[1.0, 2.0, 2.0]]), torch.tensor([[3.0, -4.0]])
    with recorded(nn.ModuleDict({"a": layer}), ["a"]) as pairs:
        (layer(x) * t).sum().backward()
    probe = Probe.draw(0, "a", (2, 3), 1, torch.device("cpu"))
    values, left = probe.directions(probe.of_inputs(pairs["a"]), probe.of_outputs(pairs["a"]))
    assert values[0].item() == pytest.approx(15)
    direction = Direction(0, "a", (2, 3), 1, 0.5)
    assert direction.taylor(values, left).item() == pytest.approx(0.5 * 15 * (0.6 + 0.8))
    n = probe.gram(pairs["a"], probe.of_inputs(pairs["a"]))
    assert direction.fisher(probe.squares(n)).item() == pytest.approx(0.25 * 225)


def test_a_layer_that_no_pass_reached_has_no_score():
    probe = Probe.draw(0, "a", (5, 4), 1, torch.device("cpu"))
    y, z = probe.of_inputs([]), probe.of_outputs([])
    assert probe.directions(y, z)[0].abs().max() == 0
    assert probe.squares(probe.gram([], y)).abs().max() == 0
