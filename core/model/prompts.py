"""A soft prompt of an encoder: learned vectors before the token embeddings."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class PromptAttachment:
    """A soft prompt of a stack of layers, bound for a forward pass.

    In a stack that embeds tokens itself, the prompt comes before them, and the decoder attends to its output too. If
    the stack also adds positions (BART), those of the text do not change, and the prompt gets the first positions too.
    If the stack reads vectors that have positions already (BERT), the prompt is removed from its output again.
    """

    def __init__(self, stack: nn.Module, decoder: nn.Module | None) -> None:
        self._prompt: Tensor | None = None
        self._names = list(inspect.signature(stack.forward).parameters)
        self._embeds = "inputs_embeds" in self._names
        self._keeps = decoder is not None
        self._handles = [
            stack.register_forward_pre_hook(self._read, with_kwargs=True),
            stack.register_forward_hook(self._written),
        ]
        if decoder is not None:
            self._handles.append(decoder.register_forward_pre_hook(self._widen, with_kwargs=True))

    def bind(self, prompts: Sequence[Tensor], gates: Sequence[Tensor]) -> None:
        """Make the stack read these prompts, each (n, width); the gates are used by the attention modules."""
        self._prompt = torch.cat(list(prompts))

    def unbind(self) -> None:
        """Make the stack read the text alone."""
        self._prompt = None

    def detach(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()

    def _read(self, stack: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._prompt is None:
            return None
        kwargs = dict(zip(self._names, args, strict=False)) | kwargs
        read = kwargs.pop("input_ids" if self._embeds else "hidden_states", None)
        if self._embeds:
            embedded = kwargs.pop("inputs_embeds", None)
            read = stack.embed_tokens(read) if embedded is None else embedded
        prompt = self._prompt.to(read.dtype).expand(len(read), -1, -1)
        whole = torch.cat([prompt, read], 1)
        if hasattr(stack, "embed_positions"):
            whole = whole + _as_without_prompt(stack.embed_positions(whole[..., -1]), prompt.shape[1])
        kwargs["attention_mask"] = self._widened(kwargs.get("attention_mask"))
        return (), kwargs | {"inputs_embeds" if self._embeds else "hidden_states": whole}

    def _written(self, stack: Any, args: tuple[Any, ...], output: Any) -> Any:
        if self._prompt is None or self._keeps:
            return None
        output.last_hidden_state = output.last_hidden_state[:, len(self._prompt) :]
        return output

    def _widen(self, decoder: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._prompt is None:
            return None
        return args, kwargs | {"encoder_attention_mask": self._widened(kwargs.get("encoder_attention_mask"))}

    def _widened(self, mask: Tensor | None) -> Tensor | None:
        """A mask over tokens (batch, length), or over keys (batch, 1, queries, keys), extended by the prompt."""
        if mask is None or self._prompt is None:
            return None
        n = len(self._prompt)
        shown = torch.ones if mask.dtype == torch.bool or mask.ndim == 2 else torch.zeros
        more = shown(*mask.shape[:-1], n, dtype=mask.dtype, device=mask.device)
        wide = torch.cat([more, mask], -1)
        # In a bidirectional stack all queries attend to the same keys.
        return wide if mask.ndim == 2 else torch.cat([wide[:, :, :1].expand(-1, -1, n, -1), wide], 2)


def _as_without_prompt(positions: Tensor, n: int) -> Tensor:
    """The correction that gives a text after a prompt of n the position embeddings that it has without a prompt."""
    moved = positions[..., : positions.shape[-2] - n, :] - positions[..., n:, :]
    return nn.functional.pad(moved, (0, 0, n, 0))
