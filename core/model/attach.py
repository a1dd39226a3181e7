"""Deltas at one module: their effects are bound for the time of a forward pass, the module itself stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.model.deltas.base import Effect


class Attachment:
    """All deltas of one module, fused.

    A module may carry several sites (a BERT's output projection, and the sub-layer that ends with it); each is a stage
    with its own effects: h = f(x) + B A x for the stacked low-rank factors, then y = h + bias + residuals(h), and y is
    what the next stage sees. Changes of weight and bias are bound in the place of the module's own, so they cost no
    operation; the rest is added by a forward hook.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._own = dict(module._parameters)
        self._stages: list[Effect] = []
        self._residuals: list[list[Effect]] = []
        self._active = False
        self._handle = module.register_forward_hook(self._hook)

    def bind(self, stages: Sequence[Sequence[Effect]]) -> None:
        """Let the module compute with these effects from now on."""
        merged = [_merge(effects) for effects in stages]
        self._residuals = [[e for e in effects if e.residual is not None] for effects in stages]
        self._stages = [self._fold(merged[0], bool(self._residuals[0])), *merged[1:]]
        self._active = True

    def unbind(self) -> None:
        """Let the module compute as it was loaded."""
        self._module._parameters.update(self._own)
        self._stages, self._residuals, self._active = [], [], False

    def detach(self) -> None:
        """Take the hook away; the module is again as it was."""
        self.unbind()
        self._handle.remove()

    def _fold(self, effect: Effect, has_residuals: bool) -> Effect:
        """Put the first stage's scale and bias into the module's own weight and bias; return what is left."""
        bias = effect.bias
        if effect.scale is not None:
            self._module._parameters["weight"] = _sum(self._own["weight"], effect.scale)  # type: ignore[assignment]
        # A residual of the same stage must see the output without the bias.
        if bias is not None and "bias" in self._own and not has_residuals:
            self._module._parameters["bias"] = _sum(self._own["bias"], bias)  # type: ignore[assignment]
            bias = None
        return Effect(low_rank=effect.low_rank, bias=bias)

    def _hook(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        if not self._active:
            return None
        rest = output[1:] if isinstance(output, tuple) else None
        h = output[0] if rest is not None else output
        if args and isinstance(args[0], Tensor) and h.dtype != args[0].dtype and h.dtype == torch.float32:
            h = h.to(args[0].dtype)  # a normalisation whose bound weight is fp32 in a bf16 network
        for effect, residuals in zip(self._stages, self._residuals, strict=True):
            if effect.low_rank is not None:
                h = _add_low_rank(h, args[0], *effect.low_rank)
            added = [e.residual(h) for e in residuals if e.residual is not None]
            if effect.bias is not None:
                added.append(effect.bias.to(h.dtype))
            for term in added:
                h = h + term
        return h if rest is None else (h, *rest)


def _merge(effects: Sequence[Effect]) -> Effect:
    """One effect for several: low-rank factors stacked along the rank, vectors summed."""
    pairs = [e.low_rank for e in effects if e.low_rank is not None]
    scales = [e.scale for e in effects if e.scale is not None]
    biases = [e.bias for e in effects if e.bias is not None]
    low_rank = None
    if pairs:
        downs, ups = zip(*pairs, strict=True)
        low_rank = (torch.cat(downs), torch.cat(ups, dim=1)) if len(pairs) > 1 else pairs[0]
    return Effect(
        low_rank=low_rank,
        scale=sum(scales[1:], scales[0]) if scales else None,
        bias=sum(biases[1:], biases[0]) if biases else None,
    )


def _add_low_rank(h: Tensor, x: Tensor, down: Tensor, up: Tensor) -> Tensor:
    """h + B A x, with the last product and the sum in one kernel."""
    thin = F.linear(x, down)
    return torch.addmm(h.flatten(0, -2), thin.flatten(0, -2), up.t()).view(h.shape)


def _sum(own: Tensor | None, change: Tensor) -> Tensor:
    """The module's own vector with the change; in the precision of the change, so that small ones are not lost."""
    return change if own is None else own.to(change.dtype) + change
