"""Laws that every model family obeys."""

from __future__ import annotations

import pytest
import torch
from support import FAMILIES, batch, build, space

from core.model.backbone import count_parameters, head_of
from core.model.gated import GatedModel
from core.model.sites import find_sites
from core.model.space import place

LAYER = [
    "attn.q",
    "attn.k",
    "attn.v",
    "attn.o",
    "ffn.in",
    "ffn.out",
    "norm.attn",
    "norm.ffn",
    "block.attn",
    "block.ffn",
]
CROSS = ["cross.q", "cross.k", "cross.v", "cross.o", "norm.cross", "block.cross"]
D, F, LAYERS = 32, 48, 2


def expected_sites(family: str) -> set[str]:
    if not family.startswith("t5"):
        return {f"E{i}.{site}" for i in range(LAYERS) for site in LAYER}
    layer = LAYER + (["ffn.gate"] if family == "t5-v1.1" else [])
    encoder = {f"E{i}.{site}" for i in range(LAYERS) for site in layer}
    decoder = {f"D{i}.{site}" for i in range(LAYERS) for site in layer + CROSS}
    return encoder | decoder | {"E.norm.final", "D.norm.final", "head"}


def expected_parameters(family: str) -> int:
    """mix-low-rank by hand: LoRA r1 and a bias on each linear layer, weight and bias on each norm, two adapters."""
    attention = 4 * (2 * D + D)
    ffn = (D + F + F) + (F + D + D) + ((D + F + F) if family == "t5-v1.1" else 0)
    adapter = (D + 1) + 1 + (1 + D) + D  # bottleneck 32 // 32 = 1, rank 1
    layer = attention + ffn + 2 * (2 * D) + 2 * adapter
    if not family.startswith("t5"):
        return LAYERS * layer
    return 2 * LAYERS * layer + LAYERS * 2 * D + 2 * (2 * D)


def gated(family: str, **kwargs: object) -> GatedModel:
    model = build(family)
    head = () if family.startswith("t5") else head_of(model)
    return GatedModel(model, place(space(), model), head)


def random_weights(model: GatedModel, std: float = 0.1) -> torch.Tensor:
    start = model.initial_weights(0)
    return start + std * torch.randn(start.shape, generator=torch.Generator().manual_seed(7))


def logits(model: GatedModel, weights: torch.Tensor, gates: torch.Tensor, family: str) -> torch.Tensor:
    with model.bound(weights, gates) as backbone:
        return backbone(**batch(family)).logits


every_family = pytest.mark.parametrize("family", FAMILIES)


@every_family
def test_every_site_has_its_canonical_name(family):
    assert {site.label for site in find_sites(build(family))} == expected_sites(family)


@every_family
def test_the_parameters_of_the_space_equal_a_count_by_hand(family):
    model = build(family)
    assert sum(p.candidate.parameters for p in place(space(), model)) == expected_parameters(family)


@every_family
def test_the_vector_holds_what_the_candidates_count_and_the_head(family):
    model = gated(family)
    head = sum(p.numel() for n, p in model.backbone.named_parameters() if n in set(model.head))
    assert model.layout.size == sum(model.parameters) + head


@every_family
def test_closed_gates_leave_the_forward_pass_unchanged(family):
    model, plain = gated(family), build(family)(**batch(family)).logits
    weights = random_weights(model)
    head_only = {name: model.backbone.get_parameter(name) for name in model.head}
    weights = model.from_named(model.named(weights) | head_only)
    closed = logits(model, weights, torch.zeros(len(model.placed)), family)
    torch.testing.assert_close(closed, plain, rtol=0, atol=2e-6)
    opened = logits(model, weights, torch.ones(len(model.placed)), family)
    assert (opened - plain).abs().max() > 1e-2


@every_family
def test_the_search_starts_at_the_pretrained_network(family):
    model, plain = gated(family), build(family)(**batch(family)).logits
    start = logits(model, model.initial_weights(0), torch.ones(len(model.placed)), family)
    torch.testing.assert_close(start, plain, rtol=0, atol=2e-6)


@every_family
def test_gradients_reach_every_gate_and_every_tensor(family):
    model = gated(family)
    weights = random_weights(model).requires_grad_()
    gates = torch.full((len(model.placed),), 0.5, requires_grad=True)
    to_weights, to_gates = torch.autograd.grad(model.loss(weights, gates, batch(family)), (weights, gates))
    names = [p.candidate.name for p in model.placed]
    # A bias on keys shifts all scores of a query alike, so the softmax does not see it.
    silent = {name for name in names if "attn.k bitfit" in name}
    assert {n for n, g in zip(names, to_gates, strict=True) if g == 0} <= silent
    named = model.named(to_weights)
    assert all(gradient.abs().max() > 0 for name, gradient in named.items() if "key" not in name and ".k/" not in name)


@every_family
def test_the_backbone_is_given_back_as_it_was(family):
    model, untouched = gated(family), build(family)
    logits(model, random_weights(model), torch.ones(len(model.placed)), family)
    backbone = model.backbone
    model.detach()
    state = backbone.state_dict()
    assert state.keys() == untouched.state_dict().keys()
    assert all(torch.equal(state[k], v) for k, v in untouched.state_dict().items())
    assert torch.equal(backbone(**batch(family)).logits, untouched(**batch(family)).logits)


@every_family
def test_a_bf16_backbone_computes_in_bf16_with_fp32_deltas(family):
    backbone = build(family).to(torch.bfloat16)
    model = GatedModel(backbone, place(space(), backbone))
    weights = random_weights(model).requires_grad_()
    gates = torch.full((len(model.placed),), 0.5, requires_grad=True)
    loss = model.loss(weights, gates, batch(family))
    (gradient,) = torch.autograd.grad(loss, weights)
    assert weights.dtype == gradient.dtype == torch.float32
    assert loss.isfinite()
    assert gradient.isfinite().all()
    plain = backbone(**batch(family)).logits
    assert plain.dtype == torch.bfloat16
    closed = logits(model, weights, torch.zeros(len(model.placed)), family)
    torch.testing.assert_close(closed, plain, rtol=0.05, atol=0.05)


@every_family
def test_a_new_head_is_not_a_parameter_of_the_backbone(family):
    model = build(family)
    head = () if family.startswith("t5") else head_of(model)
    total = sum(p.numel() for p in model.parameters())
    heads = {"bert": D * 2 + 2, "roberta": D * D + D + D * 2 + 2, "distilbert": D * D + D + D * 2 + 2}
    assert total - count_parameters(model, head) == heads.get(family, 0)


def test_a_module_path_names_sites_as_in_the_original_configs():
    model = build("t5")
    own = place(space({"SelfAttention.q": ["lora(rank=1)"], "layer_norm": ["lnfit"]}), model)
    assert {p.candidate.site for p in own} == {"attn.q", "norm.attn", "norm.cross", "norm.ffn"}
    assert len(own) == 4 + 2 * 2 + 2 * 3


def test_a_module_outside_the_canonical_sites_is_named_by_its_path():
    model = build("bert")
    (own,) = place(space({"embeddings.LayerNorm": ["lnfit"]}), model)
    assert own.candidate.site == "bert.embeddings.LayerNorm"
    assert own.candidate.layer is None
    gated_model = GatedModel(model, [own])
    moved = logits(gated_model, torch.ones(D), torch.ones(1), "bert")
    assert not torch.allclose(moved, build("bert")(**batch("bert")).logits)


def test_layers_can_be_named():
    own = place(space({"E1.attn.{q,v}": ["lora(rank=2)"]}), build("bert"))
    assert [p.candidate.name for p in own] == ["E1.attn.q lora(rank=2)", "E1.attn.v lora(rank=2)"]
