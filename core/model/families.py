"""The module paths of each known model family, mapped to canonical site names.

`#` in a path is the number of the layer. One module may be two sites: the output projection of a BERT's attention is
`attn.o`, and its output is also that of the sub-layer, `block.attn`.
"""

from __future__ import annotations

Family = dict[str, tuple[str, ...]]


def _t5_stack(stack: str, ffn: int) -> Family:
    """A T5 stack whose feed-forward is sub-layer number `ffn`; wi_0 is the gate of v1.1 and Flan."""
    block = f"{stack}.block.#.layer"
    dense = f"{block}.{ffn}.DenseReluDense"
    return {
        f"{block}.0.SelfAttention": ("block.attn",),
        **{f"{block}.0.SelfAttention.{x}": (f"attn.{x}",) for x in "qkvo"},
        f"{block}.0.layer_norm": ("norm.attn",),
        dense: ("block.ffn",),
        f"{dense}.wi": ("ffn.in",),
        f"{dense}.wi_1": ("ffn.in",),
        f"{dense}.wi_0": ("ffn.gate",),
        f"{dense}.wo": ("ffn.out",),
        f"{block}.{ffn}.layer_norm": ("norm.ffn",),
        f"{stack}.final_layer_norm": ("norm.final",),
    }


def _attention(path: str, site: str, output: str) -> Family:
    """The four projections, by the names that most families since BART use, and their sub-layer."""
    projections = {f"{path}.{x}_proj": (f"{site}.{x}",) for x in "qkv"}
    return {path: (f"block.{site}",), **projections, f"{path}.{output}": (f"{site}.o",)}


def _bart_stack(stack: str) -> Family:
    """A BART stack, or that of an OPT. Its feed-forward is no module: the output of fc2 is the sub-layer's output."""
    layer = f"model.{stack}.layers.#"
    return {
        **_attention(f"{layer}.self_attn", "attn", "out_proj"),
        f"{layer}.self_attn_layer_norm": ("norm.attn",),
        f"{layer}.fc1": ("ffn.in",),
        f"{layer}.fc2": ("ffn.out", "block.ffn"),
        f"{layer}.final_layer_norm": ("norm.ffn",),
    }


def _bert(prefix: str, suffix: str = "") -> Family:
    """A BERT-style encoder; `suffix` ends the names of its projections."""
    layer = f"{prefix}.encoder.layer.#"
    return {
        f"{layer}.attention.self.query{suffix}": ("attn.q",),
        f"{layer}.attention.self.key{suffix}": ("attn.k",),
        f"{layer}.attention.self.value{suffix}": ("attn.v",),
        f"{layer}.attention.output.dense": ("attn.o", "block.attn"),
        f"{layer}.attention.output.LayerNorm": ("norm.attn",),
        f"{layer}.intermediate.dense": ("ffn.in",),
        f"{layer}.output.dense": ("ffn.out", "block.ffn"),
        f"{layer}.output.LayerNorm": ("norm.ffn",),
    }


def _gated_ffn(path: str) -> Family:
    """The three layers of a gated feed-forward, by the names that Llama gave them."""
    return {f"{path}.up_proj": ("ffn.in",), f"{path}.gate_proj": ("ffn.gate",), f"{path}.down_proj": ("ffn.out",)}


def _fused(stack: str, attention: str, adds_residual: bool = False) -> Family:
    """A decoder with one layer for queries, keys and values, as GPT-NeoX named its modules; `attention` is its name.

    Where the sub-layers of a BLOOM end, the residual is added already, so that their last layers are their outputs.
    """
    ends: Family = {
        f"{stack}.#.{attention}.dense": ("attn.o", "block.attn"),
        f"{stack}.#.mlp.dense_4h_to_h": ("ffn.out", "block.ffn"),
    }
    if not adds_residual:
        ends = {
            f"{stack}.#.{attention}": ("block.attn",),
            f"{stack}.#.{attention}.dense": ("attn.o",),
            f"{stack}.#.mlp": ("block.ffn",),
            f"{stack}.#.mlp.dense_4h_to_h": ("ffn.out",),
        }
    return {
        f"{stack}.#.input_layernorm": ("norm.attn",),
        f"{stack}.#.{attention}.query_key_value": ("attn.qkv",),
        f"{stack}.#.post_attention_layernorm": ("norm.ffn",),
        f"{stack}.#.mlp.dense_h_to_4h": ("ffn.in",),
        **ends,
        "lm_head": ("head",),
    }


def _llama(sandwich: bool = False) -> Family:
    """A Llama-style decoder, with the fused projections of a Phi-3 and the query and key norms of a Qwen3.

    With `sandwich` norms (Gemma 2 and 3) a norm ends each sub-layer, so its output is that of the sub-layer; an OLMo 2
    has these alone. Of a layer of experts (Qwen2-MoE) the shared one has names; the others are a module `mlp.experts`.
    """
    layer = "model.layers.#"
    blocks: Family = {f"{layer}.mlp": ("block.ffn",), f"{layer}.post_attention_layernorm": ("norm.ffn",)}
    attention = _attention(f"{layer}.self_attn", "attn", "o_proj")
    if sandwich:
        del attention[f"{layer}.self_attn"]
        blocks = {
            f"{layer}.post_attention_layernorm": ("norm.attn_out", "block.attn"),
            f"{layer}.pre_feedforward_layernorm": ("norm.ffn",),
            f"{layer}.post_feedforward_layernorm": ("norm.ffn_out", "block.ffn"),
        }
    return {
        **attention,
        f"{layer}.self_attn.qkv_proj": ("attn.qkv",),
        **{f"{layer}.self_attn.{x}_norm": (f"norm.{x}",) for x in "qk"},
        f"{layer}.input_layernorm": ("norm.attn",),
        f"{layer}.mlp.gate_up_proj": ("ffn.gate_in",),
        **_gated_ffn(f"{layer}.mlp"),
        **_gated_ffn(f"{layer}.mlp.shared_expert"),
        **blocks,
        "model.norm": ("norm.final",),
        "lm_head": ("head",),
    }


_T5: Family = {
    **_t5_stack("encoder", ffn=1),
    **_t5_stack("decoder", ffn=2),
    "decoder.block.#.layer.1.EncDecAttention": ("block.cross",),
    **{f"decoder.block.#.layer.1.EncDecAttention.{x}": (f"cross.{x}",) for x in "qkvo"},
    "decoder.block.#.layer.1.layer_norm": ("norm.cross",),
    "lm_head": ("head",),
}
_BART: Family = {
    **_bart_stack("encoder"),
    **_bart_stack("decoder"),
    **_attention("model.decoder.layers.#.encoder_attn", "cross", "out_proj"),
    "model.decoder.layers.#.encoder_attn_layer_norm": ("norm.cross",),
    "lm_head": ("head",),
}
_DISTILBERT: Family = {
    **{f"distilbert.transformer.layer.#.attention.{x}_lin": (f"attn.{x}",) for x in "qkv"},
    "distilbert.transformer.layer.#.attention.out_lin": ("attn.o", "block.attn"),
    "distilbert.transformer.layer.#.sa_layer_norm": ("norm.attn",),
    "distilbert.transformer.layer.#.ffn.lin1": ("ffn.in",),
    "distilbert.transformer.layer.#.ffn.lin2": ("ffn.out", "block.ffn"),
    "distilbert.transformer.layer.#.output_layer_norm": ("norm.ffn",),
}
_GPT2: Family = {
    "transformer.h.#.ln_1": ("norm.attn",),
    "transformer.h.#.attn": ("block.attn",),
    "transformer.h.#.attn.c_attn": ("attn.qkv",),
    "transformer.h.#.attn.c_proj": ("attn.o",),
    "transformer.h.#.ln_2": ("norm.ffn",),
    "transformer.h.#.mlp": ("block.ffn",),
    "transformer.h.#.mlp.c_fc": ("ffn.in",),
    "transformer.h.#.mlp.c_proj": ("ffn.out",),
    "transformer.ln_f": ("norm.final",),
    "lm_head": ("head",),
}

_MODERNBERT: Family = {
    "model.layers.#.attn_norm": ("norm.attn",),
    "model.layers.#.attn": ("block.attn",),
    "model.layers.#.attn.Wqkv": ("attn.qkv",),
    "model.layers.#.attn.Wo": ("attn.o",),
    "model.layers.#.mlp_norm": ("norm.ffn",),
    "model.layers.#.mlp": ("block.ffn",),
    "model.layers.#.mlp.Wi": ("ffn.gate_in",),
    "model.layers.#.mlp.Wo": ("ffn.out",),
    "model.final_norm": ("norm.final",),
}
# All layers of a group are the same module, which `#` counts: most have one group for the whole network.
_ALBERT_LAYER = "albert.encoder.albert_layer_groups.#.albert_layers.0"
_ALBERT: Family = {
    f"{_ALBERT_LAYER}.attention.query": ("attn.q",),
    f"{_ALBERT_LAYER}.attention.key": ("attn.k",),
    f"{_ALBERT_LAYER}.attention.value": ("attn.v",),
    f"{_ALBERT_LAYER}.attention.dense": ("attn.o", "block.attn"),
    f"{_ALBERT_LAYER}.attention.LayerNorm": ("norm.attn",),
    f"{_ALBERT_LAYER}.ffn": ("ffn.in",),
    f"{_ALBERT_LAYER}.ffn_output": ("ffn.out", "block.ffn"),
    f"{_ALBERT_LAYER}.full_layer_layer_norm": ("norm.ffn",),
}
_PHI: Family = {
    **_attention("model.layers.#.self_attn", "attn", "dense"),
    **{f"model.layers.#.self_attn.{x}_layernorm": (f"norm.{x}",) for x in "qk"},
    "model.layers.#.input_layernorm": ("norm.attn",),
    "model.layers.#.mlp": ("block.ffn",),
    "model.layers.#.mlp.fc1": ("ffn.in",),
    "model.layers.#.mlp.fc2": ("ffn.out",),
    "model.final_layernorm": ("norm.final",),
    "lm_head": ("head",),
}
_OPT: Family = {
    **_bart_stack("decoder"),
    "model.decoder.final_layer_norm": ("norm.final",),
    "lm_head": ("head",),
}
_GPT_NEOX: Family = {
    **_fused("gpt_neox.layers", "attention"),
    "gpt_neox.final_layer_norm": ("norm.final",),
}
_BLOOM: Family = {
    **_fused("transformer.h", "self_attention", adds_residual=True),
    "transformer.ln_f": ("norm.final",),
}
# The larger ones have a norm for each of the two sub-layers, which read the same; the smaller ones one for both.
_FALCON: Family = {
    **_fused("transformer.h", "self_attention"),
    "transformer.h.#.ln_attn": ("norm.attn",),
    "transformer.h.#.ln_mlp": ("norm.ffn",),
    "transformer.ln_f": ("norm.final",),
}
_LLAMAS = ("llama", "mistral", "qwen2", "qwen3", "phi3", "gemma", "smollm3", "granite", "qwen2_moe", "mixtral")

# By the `model_type` of a model's configuration. Flan and ByT5 are T5s of the kinds v1.1 and mT5.
FAMILIES: dict[str, Family] = {
    "t5": _T5,
    "mt5": _T5,
    "bart": _BART,
    "bert": _bert("bert"),
    "roberta": _bert("roberta"),
    "xlm-roberta": _bert("roberta"),
    "electra": _bert("electra"),
    "deberta-v2": _bert("deberta", "_proj"),
    "distilbert": _DISTILBERT,
    "gpt2": _GPT2,
    "modernbert": _MODERNBERT,
    "albert": _ALBERT,
    "gpt_neox": _GPT_NEOX,
    "opt": _OPT,
    "phi": _PHI,
    "bloom": _BLOOM,
    "falcon": _FALCON,
    **dict.fromkeys(_LLAMAS, _llama()),
    **dict.fromkeys(("gemma2", "gemma3_text", "olmo2"), _llama(sandwich=True)),
}
