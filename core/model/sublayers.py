"""Finds the sub-layer of each site (its first module, its attention), and the stack that reads the text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from torch import nn

from core.model.site import Attention, Site, Sublayer
from core.model.sites import config_of

# The attribute of attention modules that holds the width of a head.
HEAD_WIDTHS = ("head_dim", "key_value_proj_dim", "attention_head_size")
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
}
# Of these the stack reads vectors that are normalised already; the others normalise what they read.
READ_AS_THEY_ARE = ("bert", "roberta", "xlm-roberta", "electra", "distilbert")
DECODERS = {"t5": "decoder", "mt5": "decoder", "bart": "model.decoder"}
SINGLE = {
    "gpt2": "transformer",
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3", "phi3", "gemma", "gemma3_text"), "model"),
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
        result.append(site)
    return result


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
    width = int(config_of(model).hidden_size)
    normalised = family not in READ_AS_THEY_ARE
    return Site("input", stack, None, modules[family], "stack", width, width, normalised=normalised)


def attention_modules(sites: Iterable[Site], name: str, stack: str) -> list[str]:
    """The paths of the attention modules in the sub-layers of this name ("attn" or "cross") of a stack."""
    return [s.module.rpartition(".")[0] for s in sites if s.stack == stack and s.name.startswith(name) and _has_keys(s)]


def _has_keys(site: Site) -> bool:
    """Whether the site is the projection to keys, by itself or fused with others."""
    return site.name in ("attn.k", "attn.qkv", "attn.kv", "cross.k", "cross.qkv", "cross.kv")


def _attention(model: nn.Module, parts: list[Site]) -> Attention | None:
    """The attention of a sub-layer; None if it has none, or one that cannot take additional keys and values."""
    keys = next((s for s in parts if _has_keys(s)), None)
    if keys is None or not getattr(model, "_supports_sdpa", False):
        return None
    path = keys.module.rpartition(".")[0]
    module: Any = model.get_submodule(path)
    width = next((int(getattr(module, name)) for name in HEAD_WIDTHS if hasattr(module, name)), None)
    if width is None:
        return None
    config = config_of(model)
    fused: int = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    return Attention(path, keys.outputs // width if keys.name.endswith(".k") else fused, width)
