"""Alternatives of one choice share the weights of the largest, and each by itself is the delta that it says."""

from __future__ import annotations

import pytest
import torch
from support import batch, build, loss_under, space
from test_deltas import BLOCK, IN, LINEAR, OUT, Network
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from core.model.deltas import delta_class, make
from core.model.deltas.base import parameters
from core.model.gated import GatedModel
from core.model.space import Placed, place, restore
from core.run.deltas import OWN, parse_delta
from core.run.structure import Candidate, whole_space

# A choice, and where it stands.
CHOICES = {
    "lora(rank=[1, 2, 4])": "attn.q",
    "adapter(bottleneck=[2, 3, 5])": "block.ffn",
    "parallel-adapter(bottleneck=[2, 3, 5])": "block.ffn",
    "low-rank-adapter(reduction=4, rank=[1, 2, 3])": "block.attn",
    "prefix(length=[1, 2, 4])": "block.attn",
    "soft-prompt(length=[1, 3, 6])": "input",
}
LISTED = {row.name for row in OWN if row.listed}
every_choice = pytest.mark.parametrize("text", CHOICES)


def gated(text: str, site: str, model: nn.Module | None = None) -> GatedModel:
    model = model or build("bert")
    return GatedModel(model, place(space({f"E0.{site}" if site != "input" else site: [text]}), model))


def logits(model: GatedModel, weights: torch.Tensor, gates: list[float]) -> torch.Tensor:
    with model.bound(weights, torch.tensor(gates)) as network:
        return network(**batch("bert")).logits


def random_weights(model: GatedModel) -> torch.Tensor:
    return torch.randn(model.layout.size, generator=torch.Generator().manual_seed(2))


def test_every_delta_that_may_be_a_choice_has_a_case_here():
    assert {parse_delta(text).name for text in CHOICES} == LISTED
    assert {row.name for row in OWN if delta_class(row.name).axes} == LISTED


@every_choice
def test_the_vector_holds_the_largest_and_each_candidate_counts_its_own(text):
    model = gated(text, CHOICES[text])
    candidates = [p.candidate for p in model.placed]
    assert [c.delta for c in candidates] == [str(d) for d in parse_delta(text).alternatives]
    assert [c.choice for c in candidates] == [text] * 3
    assert model.choices == [0, 0, 0]
    assert model.parameters == [parameters(p.delta, p.site) for p in model.placed]
    assert model.layout.size == model.parameters[-1] == whole_space(candidates)


@every_choice
def test_one_open_alternative_is_that_delta_with_the_first_part_of_the_weights(text):
    model = gated(text, CHOICES[text])
    weights = random_weights(model)
    shared = {name.rpartition("/")[2]: tensor for name, tensor in model.named(weights).items()}
    for i, placed in enumerate(model.placed):
        alone = gated(placed.candidate.delta, CHOICES[text])
        own = {}
        for name, tensor in alone.named(alone.initial_weights(0)).items():
            part = shared[name.rpartition("/")[2]]
            own[name] = part[tuple(slice(n) for n in tensor.shape)]
        expected = logits(alone, alone.from_named(own), [1.0])
        torch.testing.assert_close(
            logits(model, weights, [float(i == j) for j in range(3)]), expected, rtol=1e-4, atol=1e-5
        )


@every_choice
def test_a_choice_that_is_closed_is_the_frozen_network(text):
    model = gated(text, CHOICES[text])
    closed = logits(model, random_weights(model), [0.0, 0.0, 0.0])
    torch.testing.assert_close(closed, build("bert")(**batch("bert")).logits, rtol=0, atol=1e-6)


@every_choice
def test_gradients_reach_every_gate_and_every_weight(text):
    model = gated(text, CHOICES[text])
    weights, gates = random_weights(model).requires_grad_(), torch.full((3,), 0.3, requires_grad=True)
    to_weights, to_gates = torch.autograd.grad(loss_under(model, weights, gates, batch("bert")), (weights, gates))
    assert (to_gates != 0).all()
    assert all(gradient.abs().max() > 0 for gradient in model.named(to_weights).values())


@every_choice
def test_shared_tensors_are_saved_under_the_name_of_the_choice(text):
    model = gated(text, CHOICES[text])
    weights = random_weights(model)
    named = model.named(weights)
    assert all(f"/{text}/" in name for name in named)
    assert torch.equal(model.from_named(named), weights)


@every_choice
def test_a_structure_with_one_alternative_is_restored_by_itself(text):
    model = gated(text, CHOICES[text])
    chosen = model.placed[1].candidate
    fresh = build("bert")
    cut = GatedModel(fresh, restore((chosen,), fresh))
    assert cut.layout.size == chosen.parameters
    assert all(f"/{chosen.delta}/" in name for name in cut.named(cut.initial_weights(0)))


def test_ranks_are_one_product_with_a_gate_for_each_row():
    """h = W x + B G A x, G_jj = sum of z_i alpha / r_i over the ranks that reach row j."""
    placed = []
    for spec in parse_delta("lora(rank=[1, 2, 4])").alternatives:
        delta = make(spec)
        candidate = Candidate(
            "attn.q", "encoder", 0, "module", str(spec), parameters(delta, LINEAR), "lora(rank=[1, 2, 4])"
        )
        placed.append(Placed(candidate, LINEAR, delta))
    model = GatedModel(Network(LINEAR), placed)
    weights, z = random_weights(model), torch.tensor([0.2, 0.7, 0.5])
    a, b = (model.named(weights)[f"module/lora(rank=[1, 2, 4])/lora_{k}"] for k in "AB")
    assert (a.shape, b.shape) == ((4, IN), (OUT, 4))
    gains = torch.tensor([16 * 0.2 + 8 * 0.7 + 4 * 0.5, 8 * 0.7 + 4 * 0.5, 4 * 0.5, 4 * 0.5])
    x = torch.randn(4, 3, IN, generator=torch.Generator().manual_seed(1))
    with model.bound(weights, z) as network:
        torch.testing.assert_close(network(x), Network(LINEAR)(x) + x @ a.T @ (b * gains).T, rtol=1e-4, atol=1e-4)


class Products(TorchDispatchMode):
    """Counts matrix products."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func.overloadpacket.__name__ in ("mm", "addmm", "bmm", "baddbmm")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("text", [text for text in CHOICES if delta_class(parse_delta(text).name).folds])
def test_alternatives_cost_no_more_products_than_the_largest_alone(text):
    counts = []
    for spec in (text, str(parse_delta(text).alternatives[-1])):
        model = gated(spec, CHOICES[text])
        with Products() as products, torch.no_grad():
            logits(model, random_weights(model), [0.4] * len(model.placed))
        counts.append(products.count)
    assert counts[0] == counts[1] > 0


def test_ranks_of_thin_adapters_act_side_by_side():
    text = "low-rank-adapter(reduction=5, rank=[1, 2])"
    placed = []
    for spec in parse_delta(text).alternatives:
        delta = make(spec)
        candidate = Candidate("block.ffn", "encoder", 0, "module", str(spec), parameters(delta, BLOCK), text)
        placed.append(Placed(candidate, BLOCK, delta))
    model = GatedModel(Network(BLOCK), placed)
    weights, z = random_weights(model), torch.tensor([0.3, 0.6])
    t = {k.rpartition("/")[2]: v for k, v in model.named(weights).items()}
    h = torch.tanh(torch.randn(4, 3, OUT, generator=torch.Generator().manual_seed(1)))
    expected = h
    for rank, gate in ((1, 0.3), (2, 0.6)):
        down = t["down.left"][:, :rank] @ t["down.right"][:rank]
        up = t["up.left"][:, :rank] @ t["up.right"][:rank]
        inner = nn.functional.gelu(h @ down + t["down.bias"], approximate="tanh")
        expected = expected + gate * (inner @ up + t["up.bias"])
    x = torch.randn(4, 3, OUT, generator=torch.Generator().manual_seed(1))
    with model.bound(weights, z) as network:
        torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-4)
