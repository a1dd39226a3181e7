"""Attention with additional keys and values (prefixes, soft prompts), as an attention function of transformers.

Modules of transformers look up their attention function by a name in their configuration. While deltas are attached,
the name is that of `attend`, which equals their `sdpa` for modules without additional keys. Caches are not affected:
additional keys and values are put before those that the cache returns.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

NAME = "s3tui"
# Keeps the logarithm of a closed gate finite; its weight is negligible against any key of the text.
CLOSED = 1e-20


@dataclass(frozen=True)
class Further:
    """The additional keys and values that a module attends to.

    `keys`, `values`: (n, heads x width), before the first of the text, with gates (n). `prompt`: gates (m) of the
    first m positions of the text itself, which are those of a soft prompt.
    """

    keys: Tensor | None = None
    values: Tensor | None = None
    gates: Tensor | None = None
    prompt: Tensor | None = None

    def followed_by(self, keys: Tensor, values: Tensor, gates: Tensor) -> Further:
        """Append these keys and values to its own."""
        if self.keys is None or self.values is None or self.gates is None:
            return replace(self, keys=keys, values=values, gates=gates)
        keys, values, gates = map(torch.cat, ((self.keys, keys), (self.values, values), (self.gates, gates)))
        return replace(self, keys=keys, values=values, gates=gates)


_FURTHER: WeakKeyDictionary[nn.Module, Further] = WeakKeyDictionary()


def give(module: nn.Module, further: Further | None) -> None:
    """Set the additional keys and values of a module; None removes them."""
    if further is None:
        _FURTHER.pop(module, None)
    else:
        _FURTHER[module] = further


def further_of(module: nn.Module) -> Further | None:
    """The additional keys and values of a module, or None."""
    return _FURTHER.get(module)


class Route:
    """Switches the attention function of modules to `attend`, and back."""

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
        from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

        ALL_ATTENTION_FUNCTIONS.register(NAME, attend)
        ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])
        self._before: list[tuple[Any, str]] = []
        for module in modules:
            config: Any = module.config
            if config._attn_implementation != NAME:
                self._before.append((config, config._attn_implementation))
                config._attn_implementation = NAME

    def back(self) -> None:
        """Restore the previous attention functions."""
        for config, name in self._before:
            config._attn_implementation = name


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    position_bias: Tensor | None = None,
    is_causal: bool | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Attention softmax(scores + log gates) over additional and text keys; query: (batch, heads, queries, width).

    The gate of a key multiplies its weight before normalisation: with a gate of 0 the key has no effect, with 1 it is
    an ordinary key.
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    further = further_of(module)
    if further is None:
        result: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, position_bias=position_bias, is_causal=is_causal, **options
        )
        return result
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    scores = _additive(attention_mask, position_bias, causal, query, key)
    if further.prompt is not None:
        gates = _log(further.prompt, query)
        scores = scores + nn.functional.pad(gates, (0, key.shape[2] - len(gates)))
    if further.keys is not None and further.values is not None and further.gates is not None:
        bias = _log(further.gates, query).expand(*scores.shape[:-1], -1)
        scores = torch.cat([bias, scores], -1)
        key, value = (_before(rows, of) for rows, of in ((further.keys, key), (further.values, value)))
    result = sdpa_attention_forward(module, query, key, value, scores, is_causal=False, **options)
    return result


def _log(gates: Tensor, query: Tensor) -> Tensor:
    return (gates.float() + CLOSED).log().to(query.dtype)


def _before(rows: Tensor, of: Tensor) -> Tensor:
    """(n, heads x width) rows before (batch, heads, length, width) keys or values."""
    batch, heads, _, width = of.shape
    split = rows.to(of.dtype).view(1, -1, heads, width).transpose(1, 2)
    return torch.cat([split.expand(batch, -1, -1, -1), of], 2)


def _additive(mask: Tensor | None, position_bias: Tensor | None, is_causal: bool, query: Tensor, key: Tensor) -> Tensor:
    """The additive attention mask: (batch or 1, heads or 1, queries, keys)."""
    queries, keys = query.shape[2], key.shape[2]
    if mask is None and is_causal and queries > 1:
        mask = torch.ones(queries, keys, dtype=torch.bool, device=query.device).tril()[None, None]
    bias = position_bias if position_bias is not None else query.new_zeros(1, 1, queries, keys)
    if mask is None:
        return bias
    return bias.masked_fill(~mask, torch.finfo(query.dtype).min) if mask.dtype == torch.bool else bias + mask
