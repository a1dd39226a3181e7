"""Where deltas may stand: the sites of a network by canonical name, on every known family.

A site is a module with a place: `attn.q` of encoder layer 3 is `encoder.block.3.layer.0.SelfAttention.q` in a T5 and
`bert.encoder.layer.3.attention.self.query` in a BERT. Any other module becomes a site when a pattern names its path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor, nn

from core.run.structure import site_label

if TYPE_CHECKING:
    from core.model.sublayers import Sublayer

Kind = Literal["linear", "norm", "block", "stack"]


@dataclass(frozen=True)
class Site:
    """A module of the backbone at which deltas may stand.

    `kind` says what the module is: a linear map from `inputs` to `outputs` features, a normalisation whose weight has
    `outputs` elements, a sub-layer whose output has `outputs` features (before the residual is added), or a stack of
    layers, which reads vectors of `inputs` features. `sublayer` is known of canonical sub-layers, see
    `core.model.sublayers`.
    """

    name: str
    stack: str
    layer: int | None
    module: str
    kind: Kind
    inputs: int
    outputs: int
    sublayer: Sublayer | None = None

    @property
    def label(self) -> str:
        """The short name with its place, as in `E3.attn.q`."""
        return site_label(self.name, self.stack, self.layer)


# A family maps module paths (`#` is the number of the layer) to canonical names. One module may be two sites: the
# output projection of a BERT's attention is `attn.o`, and its output is also that of the sub-layer, `block.attn`.
Family = dict[str, tuple[str, ...]]


def _t5_stack(stack: str, ffn: int) -> Family:
    """The sites of a T5 stack whose feed-forward is sub-layer number `ffn`; wi_0 is the gate of v1.1 and Flan."""
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


def _bert(prefix: str) -> Family:
    """The sites of a BERT or RoBERTa encoder."""
    layer = f"{prefix}.encoder.layer.#"
    return {
        f"{layer}.attention.self.query": ("attn.q",),
        f"{layer}.attention.self.key": ("attn.k",),
        f"{layer}.attention.self.value": ("attn.v",),
        f"{layer}.attention.output.dense": ("attn.o", "block.attn"),
        f"{layer}.attention.output.LayerNorm": ("norm.attn",),
        f"{layer}.intermediate.dense": ("ffn.in",),
        f"{layer}.output.dense": ("ffn.out", "block.ffn"),
        f"{layer}.output.LayerNorm": ("norm.ffn",),
    }


_T5: Family = {
    **_t5_stack("encoder", ffn=1),
    **_t5_stack("decoder", ffn=2),
    "decoder.block.#.layer.1.EncDecAttention": ("block.cross",),
    **{f"decoder.block.#.layer.1.EncDecAttention.{x}": (f"cross.{x}",) for x in "qkvo"},
    "decoder.block.#.layer.1.layer_norm": ("norm.cross",),
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

FAMILIES: dict[str, Family] = {
    "t5": _T5,
    "mt5": _T5,
    "bert": _bert("bert"),
    "roberta": _bert("roberta"),
    "distilbert": _DISTILBERT,
}


def find_sites(model: nn.Module) -> list[Site]:
    """Every canonical site of the model, in the order of its modules; none for an unknown family."""
    family = FAMILIES.get(config_of(model).model_type, {})
    sites = []
    for path, module in model.named_modules():
        for name in family.get(_without_number(path)[0], ()):
            sites.append(_site(model, name, path, module))
    return sites


def site_at(model: nn.Module, path: str) -> Site:
    """The site that a module outside the canonical ones is, named by its path with `*` for the layer's number."""
    return _site(model, _without_number(path)[0].replace("#", "*"), path, model.get_submodule(path))


def config_of(model: nn.Module) -> Any:
    """The configuration that transformers gives every model."""
    return model.config


def module_paths(model: nn.Module) -> Iterator[str]:
    """The paths of all modules but the root, in the model's own order."""
    return (path for path, _ in model.named_modules() if path)


def _site(model: nn.Module, name: str, path: str, module: nn.Module) -> Site:
    stack = "" if name == "head" else "decoder" if path.startswith("decoder.") else "encoder"
    layer = _without_number(path)[1]
    if isinstance(module, nn.Linear) and not name.startswith("block."):
        return Site(name, stack, layer, path, "linear", module.in_features, module.out_features)
    weight = getattr(module, "weight", None)
    if isinstance(weight, Tensor) and weight.ndim == 1:
        return Site(name, stack, layer, path, "norm", weight.numel(), weight.numel())
    width = int(config_of(model).hidden_size)
    return Site(name, stack, layer, path, "block", width, width)


def _without_number(path: str) -> tuple[str, int | None]:
    """`a.3.b.0.c` to (`a.#.b.0.c`, 3): the first number of a path is that of the layer."""
    match = re.search(r"(?<=\.)\d+(?=\.|$)", path)
    if match is None:
        return path, None
    return f"{path[: match.start()]}#{path[match.end() :]}", int(match[0])
