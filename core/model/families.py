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
    """A BART stack. Its feed-forward is not a module of its own: the output of fc2 is the sub-layer's output."""
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


def _llama(sandwich: bool = False) -> Family:
    """A Llama-style decoder, with the fused projections of a Phi-3 and the query and key norms of a Qwen3.

    With `sandwich` norms (Gemma 2 and 3) a second one ends each sub-layer, so its output is that of the sub-layer.
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
        f"{layer}.mlp.up_proj": ("ffn.in",),
        f"{layer}.mlp.gate_proj": ("ffn.gate",),
        f"{layer}.mlp.gate_up_proj": ("ffn.gate_in",),
        f"{layer}.mlp.down_proj": ("ffn.out",),
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
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3", "phi3", "gemma"), _llama()),
    **dict.fromkeys(("gemma2", "gemma3_text"), _llama(sandwich=True)),
}
