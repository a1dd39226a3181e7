"""Finds the sub-layer of each site (its first module, its attention), and the stack that reads the text."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from torch import nn

from core.model.site import Attention, Site, Sublayer
from core.model.sites import config_of, site_at

# The attribute of attention modules that holds the width of a head.
HEAD_WIDTHS = ("head_dim", "key_value_proj_dim", "attention_head_size", "head_size")
# The stack that reads the text: of an encoder or of an encoder-decoder that attends with what `core.model.attention`
# replaces, or of a decoder that stands alone.
ENCODERS = {
    "t5": "encoder",
    "mt5": "encoder",
    "bart": "model.encoder",
    "bert": "bert.encoder",
    "roberta": "roberta.encoder",
    "xlm-roberta": "roberta.encoder",
    "electra": "electra.encoder",
    "distilbert": "distilbert.transformer",
    "albert": "albert.encoder",
}
# Of these the stack reads vectors that are normalised already; the others normalise what they read.
READ_AS_THEY_ARE = ("bert", "roberta", "xlm-roberta", "electra", "distilbert", "albert")
DECODERS = {"t5": "decoder", "mt5": "decoder", "bart": "model.decoder"}
SINGLE = {
    "gpt2": "transformer",
    "gpt_neox": "gpt_neox",
    "opt": "model.decoder",
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3", "phi", "phi3", "gemma", "gemma3_text"), "model"),
    **dict.fromkeys(("olmo2", "smollm3", "granite", "qwen2_moe", "mixtral"), "model"),
}


def with_sublayers(model: nn.Module, sites: list[Site]) -> list[Site]:
    """The same sites, with `sublayer` set for sub-layers."""
    parts: dict[tuple[str, int | None, str], list[Site]] = {}
    for site in sites:
        parts.setdefault((site.stack, site.layer, site.name.split(".")[0]), []).append(site)
    result = []
    for site in sites:
        kind, _, name = site.name.partition(".")
        inner = parts.get((site.stack, site.layer, name), []) if kind == "block" else []
        reader = _reader(inner, name)
        if reader is not None:
            site = replace(site, sublayer=Sublayer(reader.module, reader.inputs, _attention(model, inner)))
        elif site.name == "block.ffn":  # a layer of experts, none of which reads all tokens
            site = replace(site, sublayer=Sublayer(site.module, site.inputs, None))
        result.append(site)
    return result


def own_site(model: nn.Module, path: str) -> Site:
    """The site that a module outside the canonical ones is; one that attends can be given further keys and values."""
    site = site_at(model, path)
    attention = attention_at(model, path) if site.kind == "block" else None
    return site if attention is None else replace(site, sublayer=Sublayer("", site.inputs, attention))


def _reader(parts: list[Site], sublayer: str) -> Site | None:
    """The first module of a sub-layer that reads its input and nothing else.

    Keys and values of cross-attention are made from another stack, and DeBERTa's queries and keys also from positions.
    """
    of_attention = "q" if sublayer == "cross" else "v"
    readers = [s for s in parts if not s.name.endswith((".o", ".out"))]
    own = (s for s in readers if s.name.startswith(sublayer + ".") and of_attention in s.name.partition(".")[2])
    return next(own if sublayer in ("attn", "cross") else iter(readers), None)


def input_site(model: nn.Module) -> Site | None:
    """The site of the stack that reads the text; None if the family is unknown or has an unsupported attention."""
    family = config_of(model).model_type
    stack, modules = ("encoder", ENCODERS) if family in ENCODERS else ("decoder", SINGLE)
    if family not in modules:
        return None
    # An ELECTRA widens its embedded text before the encoder, an ALBERT and the OPT of 350M parameters within it.
    embedding: Any = model.get_input_embeddings()  # type: ignore[operator]
    width = int(config_of(model).hidden_size if family == "electra" else embedding.weight.shape[1])
    normalised = family not in READ_AS_THEY_ARE
    return Site("input", stack, None, modules[family], "stack", width, width, normalised=normalised)


def attention_modules(sites: Iterable[Site], name: str, stack: str) -> list[str]:
    """The paths of the attention modules in the sub-layers of this name ("attn" or "cross") of a stack."""
    return [s.module.rpartition(".")[0] for s in sites if s.stack == stack and s.name.startswith(name) and _has_keys(s)]


def _has_keys(site: Site) -> bool:
    """Whether the site is the projection to keys, by itself or fused with others."""
    return site.name in ("attn.k", "attn.qkv", "cross.k")


def attention_at(model: nn.Module, path: str) -> Attention | None:
    """The attention that a module is; None if it is none, or one that cannot take additional keys and values.

    It can if it computes with an attention function of transformers, which is looked up by name (and can be replaced),
    and one that only adds to scores: the names that its source file imports tell, as does the model.
    """
    module: Any = model.get_submodule(path)
    width = next((int(getattr(module, name)) for name in HEAD_WIDTHS if hasattr(module, name)), None)
    looks_up = hasattr(sys.modules[type(module).__module__], "ALL_ATTENTION_FUNCTIONS")
    if width is None or not looks_up or not getattr(model, "_supports_sdpa", False):
        return None
    config = config_of(model)
    heads: int = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    return Attention(path, heads, width)


def _attention(model: nn.Module, parts: list[Site]) -> Attention | None:
    """The attention of a sub-layer; None if it has none, or one that cannot take additional keys and values."""
    keys = next((s for s in parts if _has_keys(s)), None)
    found = attention_at(model, keys.module.rpartition(".")[0]) if keys is not None else None
    if keys is None or found is None:
        return None
    heads = keys.outputs // found.head_width
    fused = not keys.name.endswith(".k")  # with the queries, and the values
    return replace(found, heads=(heads - config_of(model).num_attention_heads) // 2 if fused else heads)
