"""Gradient checkpointing: layers recompute their activations in the backward pass instead of storing them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from torch import nn

from core.run.errors import SpecError
from core.run.spec import Dropout
from core.training.loss import drawn


@contextmanager
def checkpointed(model: nn.Module, wanted: bool, dropout: Dropout) -> Iterator[None]:
    """Enable gradient checkpointing of a transformer's layers while the context lasts, if `wanted`.

    It does not use reentrant autograd, as the inputs of a frozen network need no gradient, while the deltas bound to
    its layers do. Recomputation uses the same dropout masks. Raises SpecError if the model does not support it.
    """
    if not wanted:
        yield
        return
    if not getattr(model, "supports_gradient_checkpointing", False):
        raise SpecError(
            f"{type(model).__name__} does not support gradient checkpointing", "leave gradient_checkpointing = true out"
        )
    device = next(model.parameters()).device
    _method(model, "enable")({"use_reentrant": False, "context_fn": lambda: (nullcontext(), drawn(dropout, device))})
    try:
        yield
    finally:
        _method(model, "disable")()


def _method(model: nn.Module, what: str) -> Any:
    """Newer versions of transformers call it activation checkpointing, and warn of the older name."""
    newer = getattr(model, f"activation_checkpointing_{what}", None)
    return newer or getattr(model, f"gradient_checkpointing_{what}")
