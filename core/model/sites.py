"""Finds the sites of a network by canonical name, for every known model family.

A site is a module with a place: `attn.q` of encoder layer 3 is `encoder.block.3.layer.0.SelfAttention.q` in a T5 and
`bert.encoder.layer.3.attention.self.query` in a BERT. Any other module becomes a site when a pattern names its path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from core.model.families import FAMILIES
from core.model.site import Site
from core.run.errors import ModelError


def find_sites(model: nn.Module) -> list[Site]:
    """Every canonical site of the model, in the order of its modules; none for an unknown family."""
    family = FAMILIES.get(config_of(model).model_type, {})
    sites = []
    for path, module in model.named_modules():
        for name in family.get(_without_number(path)[0], ()):
            site = _site(model, name, path, module)
            # Some layers lack a norm (the first one of a ModernBERT), or have one without weights.
            if site.kind == "norm" or not name.startswith("norm."):
                sites.append(site)
    return sites


def site_at(model: nn.Module, path: str) -> Site:
    """The site that a module outside the canonical ones is, named by its path with `*` for the layer's number."""
    return _site(model, _without_number(path)[0].replace("#", "*"), path, model.get_submodule(path))


def config_of(model: nn.Module) -> Any:
    """The configuration that transformers gives every model."""
    return model.config


def shared_layers(config: Any) -> int:
    """How many layers are one and the same module, with one site for all of them, as in an ALBERT; else 1."""
    groups = getattr(config, "num_hidden_groups", None)
    return 1 if groups is None else config.num_hidden_layers // groups


def reads_both_ways(config: Any) -> bool:
    """Whether attention is bidirectional, as in an encoder."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    if own := own_classes(config):
        return bool(config.is_encoder_decoder) or "AutoModelForCausalLM" not in own
    return bool(config.is_encoder_decoder) or config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES


def own_classes(config: Any) -> set[str]:
    """The auto classes for which a model brings code of its own; none if transformers has the family."""
    from transformers import CONFIG_MAPPING

    return set() if config.model_type in CONFIG_MAPPING else set(getattr(config, "auto_map", None) or {})


def module_paths(model: nn.Module) -> Iterator[str]:
    """The paths of all modules but the root, in the model's own order."""
    return (path for path, _ in model.named_modules() if path)


def _site(model: nn.Module, name: str, path: str, module: nn.Module) -> Site:
    stack, layer = "" if name == "head" else _stack(model, path), _without_number(path)[1]
    if not name.startswith("block."):
        if isinstance(module, nn.Linear):
            return Site(name, stack, layer, path, "linear", module.in_features, module.out_features)
        inputs, outputs = getattr(module, "in_features", None), getattr(module, "out_features", None)
        if isinstance(inputs, int) and isinstance(outputs, int):  # a quantised layer of a library
            return Site(name, stack, layer, path, "linear", inputs, outputs)
        if isinstance(module, Conv1D):  # a linear layer whose weight is (inputs, outputs)
            return Site(name, stack, layer, path, "linear", module.nx, module.nf)
        weight = getattr(module, "weight", None)
        if isinstance(weight, Tensor) and weight.ndim == 1:
            return Site(name, stack, layer, path, "norm", weight.numel(), weight.numel())
    width = _width(config_of(model))
    return Site(name, stack, layer, path, "block", width, width)


def _width(config: Any) -> int:
    """The hidden size; a multimodal configuration has one for each input."""
    own = config if hasattr(config, "hidden_size") else config.get_text_config(decoder=True)
    if not hasattr(own, "hidden_size"):
        raise ModelError(f"the width of a {config.model_type!r} is not known", "take a model of docs/models.md")
    return int(own.hidden_size)


def _stack(model: nn.Module, path: str) -> str:
    """The stack that a module belongs to: the one named in its path, or the model's only one."""
    named = [part for part in path.split(".") if part in ("encoder", "decoder")]
    return named[0] if named else "encoder" if reads_both_ways(config_of(model)) else "decoder"


def _without_number(path: str) -> tuple[str, int | None]:
    """Split off the layer, the first number of a path: `a.3.b.0.c` to (`a.#.b.0.c`, 3)."""
    match = re.search(r"(?<=\.)\d+(?=\.|$)", path)
    if match is None:
        return path, None
    return f"{path[: match.start()]}#{path[match.end() :]}", int(match[0])
