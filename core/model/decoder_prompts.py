"""A soft prompt before what a decoder reads: the keys and values that the network makes of it.

A token of a decoder never changes what those before it become. So the prompt goes through the network by itself, once
for each batch, and its keys and values are given to the attention of every layer. Positions, masks and caches of
the text stay as they are: the prompt has the positions -n..-1 where they are relative, and 0..n-1 where they are
added to the embeddings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from core.model.attention import Further, further_of, give
from core.model.sites import config_of


class DecoderPromptAttachment:
    """A soft prompt at a decoder, bound for the time of a pass; `readers` attend, in the order of the layers."""

    def __init__(self, stack: nn.Module, readers: Sequence[nn.Module]) -> None:
        self._stack, self._readers = stack, readers
        self._prompt: Tensor | None = None
        self._gates: Tensor | None = None
        self._handle = stack.register_forward_pre_hook(self._before)

    def bind(self, prompts: Sequence[Tensor], gates: Sequence[Tensor]) -> None:
        """Let the network read these prompts, each (n, width), from its next pass on."""
        self._prompt, self._gates = torch.cat(list(prompts)), torch.cat(list(gates))

    def unbind(self) -> None:
        """Let the network read the text alone."""
        self._prompt = self._gates = None

    def detach(self) -> None:
        """Take the hook away."""
        self._handle.remove()

    def _before(self, stack: nn.Module, args: tuple[Any, ...]) -> None:
        """Before the first pass over a text: only then it is known whether dropout is on."""
        if self._prompt is None or self._gates is None:
            return
        prompt, gates = self._prompt, self._gates
        self._prompt = None  # the pass over the prompt comes through here too
        relative = getattr(config_of(stack), "rope_parameters", None) is not None
        places = torch.arange(len(prompt), device=prompt.device) - (len(prompt) if relative else 0)
        cache = stack(inputs_embeds=prompt[None], position_ids=places[None], use_cache=True).past_key_values
        for reader, layer in zip(self._readers, cache.layers, strict=True):
            own, keys = further_of(reader) or Further(), _flat(layer.keys)
            # A layer with a sliding window keeps the last of them.
            give(reader, own.followed_by(keys, _flat(layer.values), gates[len(gates) - len(keys) :]))


def _flat(rows: Tensor) -> Tensor:
    """(1, heads, n, width) to (n, heads x width)."""
    return rows[0].transpose(0, 1).flatten(1)
