"""Laws that every model family obeys."""

from __future__ import annotations

import itertools
import re

import pytest
import torch
import transformers
from support import DECODERS, EARLIER, ENCODERS, FAMILIES, assert_rounded_no_worse, batch, build, loss_under, space

from core.model.backbone import count_parameters, head_of
from core.model.gated import GatedModel
from core.model.sites import find_sites
from core.model.space import place
from core.run.errors import ModelError, SpecError
from core.run.spaces import LIBRARY
from core.sites import describe

NORMS = ["norm.attn", "norm.ffn"]
BLOCKS = ["block.attn", "block.ffn"]
ATTENTION = ["attn.q", "attn.k", "attn.v", "attn.o"]
CROSS = ["cross.q", "cross.k", "cross.v", "cross.o", "norm.cross", "block.cross"]
FFN, GATED = ["ffn.in", "ffn.out"], ["ffn.in", "ffn.gate", "ffn.out"]
LAYER = ATTENTION + FFN + NORMS + BLOCKS
LLAMA = ATTENTION + GATED + NORMS + BLOCKS

# The sites of a layer of the encoder, of the decoder, and those outside the layers.
SITES: dict[str, tuple[list[str], list[str], list[str]]] = {
    "t5": (LAYER, LAYER + CROSS, ["E.norm.final", "D.norm.final", "head"]),
    "t5-v1.1": (LLAMA, LLAMA + CROSS, ["E.norm.final", "D.norm.final", "head"]),
    "mt5": (LLAMA, LLAMA + CROSS, ["E.norm.final", "D.norm.final", "head"]),
    "bart": (LAYER, LAYER + CROSS, ["head"]),
    **dict.fromkeys(ENCODERS, (LAYER, [], [])),
    "modernbert": (["attn.qkv", "attn.o", "ffn.gate_in", "ffn.out", "norm.ffn", *BLOCKS], [],
                   ["E1.norm.attn", "E.norm.final"]),
    **dict.fromkeys(
        ("gpt2", "gpt_neox", "bloom"), ([], ["attn.qkv", "attn.o", *FFN, *NORMS, *BLOCKS], ["D.norm.final", "head"])
    ),
    **dict.fromkeys(("llama", "mistral", "qwen2", "gemma"), ([], LLAMA, ["D.norm.final", "head"])),
    "qwen3": ([], [*LLAMA, "norm.q", "norm.k"], ["D.norm.final", "head"]),
    "phi3": ([], ["attn.qkv", "attn.o", "ffn.gate_in", "ffn.out", *NORMS, *BLOCKS], ["D.norm.final", "head"]),
    "gemma2": ([], [*LLAMA, "norm.attn_out", "norm.ffn_out"], ["D.norm.final", "head"]),
    "gemma3": ([], [*LLAMA, "norm.attn_out", "norm.ffn_out", "norm.q", "norm.k"], ["D.norm.final", "head"]),
    "opt": ([], LAYER, ["D.norm.final", "head"]),
    "phi": ([], [*LAYER[:-4], "norm.attn", "norm.q", "norm.k", *BLOCKS], ["D.norm.final", "head"]),
    "olmo2": ([], [*ATTENTION, *GATED, "norm.attn_out", "norm.ffn_out", "norm.q", "norm.k", *BLOCKS],
              ["D.norm.final", "head"]),
    **dict.fromkeys(("smollm3", "granite", "qwen2_moe"), ([], LLAMA, ["D.norm.final", "head"])),
    "mixtral": ([], [*ATTENTION, *NORMS, *BLOCKS], ["D.norm.final", "head"]),
    "falcon": ([], ["attn.qkv", "attn.o", *FFN, "norm.attn", *BLOCKS], ["D.norm.final", "head"]),
}  # fmt: skip
# Width, features of the feed-forward, those of keys and values, of one head; layers of a stack.
D, F, KV, HEAD, LAYERS = 32, 48, 16, 8, 2
# What the linear layers are, from inputs to outputs, where queries share keys and values with others (`KV`).
SHAPES = {
    "attn.q": (D, D), "attn.k": (D, D), "attn.v": (D, D), "attn.o": (D, D),
    "ffn.in": (D, F), "ffn.gate": (D, F), "ffn.out": (F, D), "ffn.gate_in": (D, 2 * F),
}  # fmt: skip
GROUPED = {"attn.k": (D, KV), "attn.v": (D, KV), "attn.qkv": (D, D + 2 * KV)}
FUSED = {"attn.qkv": (D, 3 * D)}
NOT_GROUPED = ("gpt2", "gpt_neox", "opt", "bloom")
SHAPES_OF = {
    "bloom": {"ffn.in": (D, 4 * D), "ffn.out": (4 * D, D)},
    "falcon": {"attn.qkv": (D, D + 2 * HEAD)},  # one head of keys and values
}
# The features of norms of queries and keys: of one head, or in an OLMo 2 of all.
NORMS_OF = {"norm.q": HEAD, "norm.k": HEAD}
WIDE_NORMS = {"norm.q": D, "norm.k": KV}


# The attention of some families takes no further keys, the stack of some no prompt, and experts are no layers of names.
NO_KEYS = dict.fromkeys(("deberta-v2", "gemma2", "bloom", "falcon"), "cannot stand at")
REFUSED = {
    "prefix": NO_KEYS,
    "bipeft-s2": NO_KEYS,
    "soft-prompt": dict.fromkeys((*NO_KEYS, "modernbert"), "cannot be given a soft prompt"),
    "lora-mlp": {"mixtral": "no module of mixtral is a 'ffn.*mlp.experts"},
    "ia3": {"mixtral": "no module of mixtral is a 'ffn.out'.*mlp.experts"},
}


def expected_sites(family: str) -> set[str]:
    encoder, decoder, others = SITES[family]
    layers = [("E", site) for site in encoder] + [("D", site) for site in decoder]
    count = 1 if family == "albert" else LAYERS  # whose layers are one
    return {f"{stack}{i}.{site}" for i in range(count) for stack, site in layers} | set(others)


def expected_parameters(family: str) -> int:
    """mix-low-rank by hand: LoRA r1 and a bias on linear layers, weight and bias on norms, an adapter on sub-layers."""
    shapes = SHAPES | FUSED | (GROUPED if family in DECODERS and family not in NOT_GROUPED else {})
    shapes |= SHAPES_OF.get(family, {})
    norms = WIDE_NORMS if family == "olmo2" else NORMS_OF
    total = 0
    for label in expected_sites(family):
        site = ".".join(label.split(".")[-2:])
        if site in shapes:
            inputs, outputs = shapes[site]
            total += (inputs + outputs) + outputs
        elif site.startswith("norm."):
            total += 2 * norms.get(site, D)
        elif site in BLOCKS:
            total += (D + 1) + 1 + (1 + D) + D  # bottleneck 32 // 32 = 1, rank 1
    return total


def gated(family: str, **kwargs: object) -> GatedModel:
    model = build(family)
    return GatedModel(model, place(space(), model), head_of(model) if family in ENCODERS else ())


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
    to_weights, to_gates = torch.autograd.grad(loss_under(model, weights, gates, batch(family)), (weights, gates))
    names = [p.candidate.name for p in model.placed]
    # A bias on keys shifts all scores of a query alike, so the softmax does not see it.
    silent = {p.candidate for p in model.placed if p.candidate.site == "attn.k" and p.candidate.delta == "bitfit"}
    assert {n for n, g in zip(names, to_gates, strict=True) if g == 0} <= {c.name for c in silent}
    still = {name for name, gradient in model.named(to_weights).items() if gradient.abs().max() == 0}
    assert still <= {f"{c.module}/bitfit/bias" for c in silent}


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
    loss = loss_under(model, weights, gates, batch(family))
    (gradient,) = torch.autograd.grad(loss, weights)
    assert weights.dtype == gradient.dtype == torch.float32
    assert loss.isfinite()
    assert gradient.isfinite().all()
    plain = backbone(**batch(family)).logits
    assert plain.dtype == torch.bfloat16
    closed = logits(model, weights, torch.zeros(len(model.placed)), family)
    exact = build(family).to(torch.bfloat16).float()(**batch(family)).logits
    assert_rounded_no_worse(closed, plain, exact)


@every_family
def test_a_new_head_is_not_a_parameter_of_the_backbone(family):
    model = build(family)
    head = head_of(model) if family in ENCODERS else ()
    total = sum(p.numel() for p in model.parameters())
    output, dense = D * 2 + 2, D * D + D
    heads = {"bert": output, "albert": output, "modernbert": D * D + D + output}  # a dense layer without bias, a norm
    expected = heads.get(family, dense + output) if family in ENCODERS else 0
    assert total - count_parameters(model, head) == expected


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


@pytest.mark.parametrize("family", ["gpt2", "qwen2", "bart"])
def test_a_delta_at_a_tied_head_leaves_the_embedding_alone(family):
    model = build(family)
    embedding = model.get_input_embeddings().weight
    assert model.get_output_embeddings().weight is embedding
    start = embedding.clone()
    head = GatedModel(model, place(space({"head": ["lora(rank=1)"]}), model))
    weights = random_weights(head, std=1.0)
    a, b = (head.named(weights)[f"lm_head/lora(rank=1)/lora_{x}"] for x in "AB")
    read: list[torch.Tensor] = []
    model.lm_head.register_forward_pre_hook(lambda module, args: read.append(args[0]))
    plain = build(family)(**batch(family)).logits
    changed = logits(head, weights, torch.ones(1), family)
    torch.testing.assert_close(changed - plain, 16 * read[0] @ a.T @ b.T, rtol=1e-3, atol=1e-4)
    assert torch.equal(embedding, start)


def test_a_conv1d_is_a_linear_layer_with_its_weight_the_other_way_round():
    model = build("gpt2")
    own = place(space({"D1.attn.qkv": ["lora(rank=2)"]}), model)
    assert (own[0].site.inputs, own[0].site.outputs) == (D, 3 * D)
    deltas = GatedModel(model, own)
    weights = random_weights(deltas)
    a, b = (deltas.named(weights)[f"transformer.h.1.attn.c_attn/lora(rank=2)/lora_{x}"] for x in "AB")
    merged = build("gpt2")
    merged.transformer.h[1].attn.c_attn.weight += 8 * (b @ a).T
    changed = logits(deltas, weights, torch.ones(1), "gpt2")
    torch.testing.assert_close(changed, merged(**batch("gpt2")).logits, rtol=1e-4, atol=1e-4)


def test_a_model_of_an_unknown_family_is_searched_by_module_paths():
    config = transformers.GPTJConfig(
        vocab_size=80, n_embd=D, n_layer=2, n_head=4, n_inner=F, rotary_dim=4, bos_token_id=2, eos_token_id=4
    )
    model = transformers.GPTJForCausalLM(config).requires_grad_(False)
    assert find_sites(model) == []
    placed = place(space({"attn.out_proj": ["lora(rank=1)"], "ln_1": ["lnfit"], "mlp": ["bitfit"]}), model)
    assert [p.candidate.parameters for p in placed] == 2 * [D, 2 * D, D]
    assert {p.candidate.stack for p in placed} == {"decoder"}
    deltas = GatedModel(model, placed)
    gates = torch.full((6,), 0.5, requires_grad=True)
    tokens = {"input_ids": torch.arange(5, 14)[None], "labels": torch.arange(5, 14)[None]}
    (gradient,) = torch.autograd.grad(loss_under(deltas, random_weights(deltas), gates, tokens), gates)
    assert (gradient != 0).all()
    with pytest.raises(SpecError, match="name modules of gptj by their paths"):
        place(space("lora"), model)


def test_layers_that_share_their_weights_are_one_site(tmp_path):
    model = build("albert")
    assert [s.label for s in find_sites(model) if s.name == "attn.q"] == ["E0.attn.q"]
    model.config.save_pretrained(tmp_path)
    assert describe(str(tmp_path), [])["shared"] == LAYERS
    read: list[torch.Tensor] = []
    (placed,) = place(space({"ffn.in": ["bitfit"]}), model)
    deltas = GatedModel(model, [placed])
    model.get_submodule(placed.site.module).register_forward_hook(lambda module, args, output: read.append(output))
    logits(deltas, torch.zeros(F), torch.ones(1), "albert")
    logits(deltas, torch.ones(F), torch.ones(1), "albert")
    assert len(read) == 2 * LAYERS
    torch.testing.assert_close(read[LAYERS], read[0] + 1)


@pytest.mark.parametrize("pattern", ["attn.Wqkv", "*.attn.{Wqkv,k}", "layers.*.attn.Wqkv"])
def test_a_path_may_look_like_a_canonical_name(pattern):
    own = place(space({pattern: ["lora(rank=1)"]}), build("modernbert"))
    assert [p.candidate.name for p in own] == [f"E{i}.attn.qkv lora(rank=1)" for i in range(LAYERS)]


@pytest.mark.parametrize(
    ("pattern", "wrong", "near"), [("attn.w", "attn.w", "attn.v"), ("norm.{ffn,atn}", "norm.atn", "norm.attn")]
)
def test_what_is_neither_a_site_nor_a_path_is_refused_with_the_nearest(pattern, wrong, near):
    says = f"no site is called '{wrong}', and no module of bert ends in it: did you mean '{near}'?"
    with pytest.raises(SpecError, match=re.escape(says)):
        place(space({pattern: ["bitfit"]}), build("bert"))


def test_a_prefix_stands_where_a_module_of_an_unknown_family_attends():
    sizes = {"hidden_size": D, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = transformers.Starcoder2Config(**sizes, vocab_size=80, intermediate_size=F, bos_token_id=2, eos_token_id=4)
    model = transformers.Starcoder2ForCausalLM(config).requires_grad_(False)
    placed = place(space({"self_attn": ["prefix(length=3)"]}), model)
    assert [p.candidate.parameters for p in placed] == 2 * [2 * 3 * KV]
    deltas = GatedModel(model, placed)
    gates = torch.full((2,), 0.5, requires_grad=True)
    tokens = {"input_ids": torch.arange(5, 14)[None], "labels": torch.arange(5, 14)[None]}
    (gradient,) = torch.autograd.grad(loss_under(deltas, random_weights(deltas), gates, tokens), gates)
    assert (gradient != 0).all()
    with pytest.raises(SpecError, match="nothing attends there"):
        place(space({"mlp": ["prefix"]}), model)


def test_an_xlnet_is_refused_in_one_line(tmp_path):
    transformers.XLNetConfig(n_layer=1).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="an XLNet, which fills in words in any order"):
        describe(str(tmp_path), [])


def test_experts_are_named_by_their_path():
    model = build("qwen2_moe")
    own = place(space({"mlp.experts": ["bitfit", "adapter(bottleneck=2)"]}), model)
    assert [p.candidate.parameters for p in own] == 2 * [D, D * 2 + 2 + 2 * D + D]
    deltas = GatedModel(model, own)
    changed = logits(deltas, random_weights(deltas), torch.ones(4), "qwen2_moe")
    assert (changed - build("qwen2_moe")(**batch("qwen2_moe")).logits).abs().max() > 1e-2


def test_a_bloom_that_slices_its_layers_is_refused(tmp_path):
    config = build("bloom").config
    config.slow_but_exact = True
    config.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"slices its layers.*slow_but_exact"):
        describe(str(tmp_path), [])


@every_family
@pytest.mark.parametrize("name", [name for name in LIBRARY if name != "none"])
def test_every_space_of_the_library_has_candidates(family, name):
    says = REFUSED.get(name, {}).get(family)
    if says:
        with pytest.raises(SpecError, match=says):
            place(space(name), build(family))
        return
    assert place(space(name), build(family))


@every_family
def test_its_sites_are_known_without_its_weights(family, tmp_path):
    model = build(family)
    model.config.save_pretrained(tmp_path)
    found = describe(str(tmp_path), [space()])
    assert found["sites"] == [vars(site) | {"label": site.label} for site in find_sites(model)]
    assert found["parameters"] == count_parameters(model, head_of(model) if family in ENCODERS else ())
    assert found["spaces"][0]["parameters"] == expected_parameters(family)
    assert found["kind"] == "encoder" if family in ENCODERS else "decoder" in found["kind"]


@pytest.mark.parametrize("family", [*EARLIER, "bloom", "mixtral"])
def test_what_is_left_of_a_space_that_must_be_exportable_can_be_exported(family, tmp_path):
    build(family).config.save_pretrained(tmp_path)
    spaces = [space(dict(itertools.chain.from_iterable(group.items() for group in LIBRARY[name]))) for name in LIBRARY]
    for one in describe(str(tmp_path), [s for s in spaces if s.groups[0]], "peft")["spaces"]:
        assert one["problem"] or (one["candidates"] and not one["obstacles"]["peft"])


def test_a_model_of_several_inputs_is_searched_by_module_paths(tmp_path):
    text = {"hidden_size": D, "num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": 8, "vocab_size": 80}
    seen = {"hidden_size": D, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": F}
    transformers.Gemma3Config(text_config=text, vision_config=seen).save_pretrained(tmp_path)
    found = describe(str(tmp_path), [space({"self_attn.q_proj": ["lora(rank=1)"]})])
    assert (found["family"], found["canonical"]) == ("gemma3", False)
    assert found["spaces"][0]["candidates"] > 0


def test_a_family_of_unknown_width_is_refused_in_one_line(tmp_path):
    transformers.PerceiverConfig(num_blocks=1).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="the width of a 'perceiver' is not known"):
        describe(str(tmp_path), [space()])
