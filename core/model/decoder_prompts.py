"""A soft prompt of a decoder, applied as additional keys and values of every layer.

In a decoder, later tokens do not affect earlier ones. So the prompt is passed through the network by itself, once for
each batch, and its keys and values are given to the attention of every layer. Positions, masks and caches of the text
do not change: the prompt has the positions -n..-1 if they are relative, and 0..n-1 if they are added to embeddings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from core.model.attention import Further, further_of, give
from core.model.sites import config_of


class DecoderPromptAttachment:
    """A soft prompt of a decoder, bound for a pass; `readers` are the attention modules in the order of layers."""

    def __init__(self, stack: nn.Module, readers: Sequence[nn.Module]) -> None:
        self._stack, self._readers = stack, readers
        self._prompt: Tensor | None = None
        self._gates: Tensor | None = None
        self._handle = stack.register_forward_pre_hook(self._before)

    def bind(self, prompts: Sequence[Tensor], gates: Sequence[Tensor]) -> None:
        """Make the network use these prompts, each (n, width), from its next pass on."""
        self._prompt, self._gates = torch.cat(list(prompts)), torch.cat(list(gates))

    def unbind(self) -> None:
        """Make the network read the text alone."""
        self._prompt = self._gates = None

    def detach(self) -> None:
        """Remove the hook."""
        self._handle.remove()

    def _before(self, stack: nn.Module, args: tuple[Any, ...]) -> None:
        """Pass the prompt through the network before the text; only then it is known whether dropout is on."""
        if self._prompt is None or self._gates is None:
            return
        prompt, gates = self._prompt, self._gates
        self._prompt = None  # the pass over the prompt calls this hook too
        relative = getattr(config_of(stack), "rope_parameters", None) is not None
        places = torch.arange(len(prompt), device=prompt.device) - (len(prompt) if relative else 0)
        cache = stack(inputs_embeds=prompt[None], position_ids=places[None], use_cache=True).past_key_values
        for reader, layer in zip(self._readers, cache.layers, strict=True):
            own, keys = further_of(reader) or Further(), _flat(layer.keys)
            # A layer with a sliding window returns only the last keys.
            give(reader, own.followed_by(keys, _flat(layer.values), gates[len(gates) - len(keys) :]))


def _flat(rows: Tensor) -> Tensor:
    """(1, heads, n, width) to (n, heads x width)."""
    return rows[0].transpose(0, 1).flatten(1)
