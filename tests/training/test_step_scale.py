"""Balanced steps and the rate of a head: retraining takes the steps that the search takes."""

from __future__ import annotations

import pytest
import torch
from support import batch, build, loss_under, space
from transformers.optimization import Adafactor as TheirAdafactor

from core.model.backbone import head_of
from core.model.gated import GatedModel
from core.model.space import place
from core.run.training import RetrainSettings
from core.training.optim.registry import optimizer_of
from core.training.optim.step_scale import scale_of
from core.training.retrain import take_step
from core.training.trainee import FullTrainee, StructureTrainee

LR = 1e-2
SETTINGS = RetrainSettings(learning_rate=LR, head_learning_rate=LR / 4)


def gated(table: str | dict[str, list[str]] = "mix-low-rank") -> GatedModel:
    backbone = build("bert")
    return GatedModel(backbone, place(space(table), backbone), head_of(backbone))


@pytest.mark.parametrize("name", ["adamw", "adafactor"])
def test_retraining_moves_each_weight_as_the_search_does(name):
    model = gated()
    scale = scale_of(model, "balanced", SETTINGS)
    ours = model.initial_weights(0)
    trainee = StructureTrainee(model, ours.clone(), scale, separate=name == "adafactor")
    if name == "adamw":
        optimizer = torch.optim.AdamW(trainee.parameters, LR, weight_decay=0.1)
    else:
        optimizer = TheirAdafactor(trainee.parameters, LR, weight_decay=0.1, scale_parameter=False, relative_step=False)
    mine = optimizer_of(name, model.layout, model.device)
    state, gates = mine.initial(ours), torch.ones(len(model.placed))
    for seed in range(3):
        weights = ours.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(loss_under(model, weights, gates, batch("bert", seed=seed)), weights)
        parts = model.layout.tensors(gradient) if name == "adafactor" else [gradient]
        for parameter, part in zip(trainee.parameters, parts, strict=True):
            parameter.grad = part.clone()
        take_step(trainee, optimizer)
        ours, state = mine.update(ours, gradient, state, LR * scale, 0.1)
        for tensor_name, tensor in trainee.named().items():
            torch.testing.assert_close(tensor, model.named(ours)[tensor_name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["balanced", "shared"])
def test_a_head_has_its_own_rate_and_without_one_the_learning_rate(kind):
    model = gated()
    of_head = model.of_head()
    assert of_head.sum() == sum(model.backbone.get_parameter(name).numel() for name in model.head) > 0
    assert set(scale_of(model, kind, SETTINGS)[of_head].tolist()) == {0.25}
    plain = scale_of(model, kind, RetrainSettings(learning_rate=LR))
    assert kind == "shared" or set(plain[of_head].tolist()) == {1.0}
    assert kind == "balanced" or plain == 1.0


def test_full_fine_tuning_gives_the_head_its_rate():
    backbone = build("bert")
    head = head_of(backbone)
    trainee = FullTrainee(backbone, head, 0.25)
    before = {name: tensor.clone() for name, tensor in trainee.named().items()}
    for parameter in trainee.parameters:
        parameter.grad = torch.ones_like(parameter)
    take_step(trainee, torch.optim.AdamW(trainee.parameters, LR, weight_decay=0.0))
    for name, tensor in trainee.named().items():
        moved = LR / 4 if name in head else LR
        torch.testing.assert_close(before[name] - tensor, torch.full_like(tensor, moved), rtol=1e-3, atol=1e-6)


def test_a_rate_is_that_of_the_smallest_alternative_that_reaches_an_index():
    model = gated({"block.ffn": ["parallel-adapter(bottleneck=[1, 4])"]})
    alone = {m: gated({"block.ffn": [f"parallel-adapter(bottleneck={m})"]}) for m in (1, 4)}
    rates = {m: one.named(one.balanced()) for m, one in alone.items()}
    for name, found in model.named(model.balanced()).items():
        if name.endswith("up.weight"):
            module = name.partition("/")[0]
            first, second = (rates[m][f"{module}/parallel-adapter(bottleneck={m})/up.weight"] for m in (1, 4))
            assert torch.equal(found[:, :1], first)
            assert torch.equal(found[:, 1:], second[:, 1:])
            assert first.max() > second.max() > 0
