"""Attaches deltas to one module: effects are bound for a forward pass, and the module's own parameters never change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.model.deltas.base import Effect
from core.model.lowrank import low_rank_linear
from core.model.rmsnorm import is_rms_norm, rms_norm


class Attachment:
    """All deltas of one module, fused.

    A module may have several sites (a BERT's output projection, and the sub-layer that ends with it); each is a stage
    with its own effects: h = f(x) + B A x for the stacked low-rank factors + parallel(x), then y = h + bias +
    residuals(h), and y is the input of the next stage. Changed weights and biases replace the module's own while bound,
    so they cost no operation; a linear layer adds B A x itself; an RMS norm of a bf16 network is one operation with its
    fp32 weight; the rest is added by a forward hook. `entry` is the module that reads the input of the sub-layer that
    ends here; that input is the x of the last stage.
    """

    def __init__(self, module: nn.Module, entry: nn.Module | None = None) -> None:
        self._module = module
        self._entered: Tensor | None = None
        self._own: dict[str, Any] = dict(module._parameters)
        self._stages: list[Effect] = []
        self._functions: list[list[Effect]] = []
        self._active = self._widened = self._fused = False
        self._handles = [module.register_forward_hook(self._hook), module.register_forward_pre_hook(self._widen)]
        if entry is not None:
            self._handles.append(entry.register_forward_pre_hook(self._enter))

    def bind(self, stages: Sequence[Sequence[Effect]]) -> None:
        """Make the module compute with these effects from now on."""
        merged = [_merge(effects) for effects in stages]
        self._widened = self._is_wider(merged[0])
        if self._widened:
            self._module._parameters.update({k: _wide(p) for k, p in self._own.items()})
        self._functions = [[e for e in effects if e.sequential or e.parallel] for effects in stages]
        self._stages = [self._fold(merged[0], bool(self._functions[0])), *merged[1:]]
        if self._widened and is_rms_norm(self._module) and "forward" not in vars(self._module):
            module: Any = self._module
            self._compute(lambda x: rms_norm(x, module.weight, module.variance_epsilon))
            self._widened = False
        self._active = True

    def unbind(self) -> None:
        """Restore the module's own computation."""
        self._module._parameters.update(self._own)
        if self._fused:
            del vars(self._module)["forward"]
        self._stages, self._functions, self._entered, self._fused = [], [], None, False
        self._active = self._widened = False

    def detach(self) -> None:
        """Remove the hooks; the module is as before."""
        self.unbind()
        for handle in self._handles:
            handle.remove()

    def _is_wider(self, effect: Effect) -> bool:
        """Whether an fp32 change of a normalisation is applied in a bf16 network, which would round small changes away.

        The module then computes in fp32, as no kernel takes inputs and weights of different precisions.
        """
        weight, change = self._own.get("weight"), effect.scale if effect.scale is not None else effect.bias
        return weight is not None and change is not None and change.dtype != weight.dtype

    def _enter(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        self._entered = args[0] if self._active else None

    def _widen(self, module: nn.Module, args: tuple[Any, ...]) -> Any:
        return (args[0].float(), *args[1:]) if self._widened else None

    def _fold(self, effect: Effect, has_functions: bool) -> Effect:
        """Bind the first stage's scales and bias as changed weight and bias; returns the remaining effect."""
        bias = effect.bias
        if effect.input_scale is not None:
            self._scale_inputs(effect.input_scale)
        if effect.scale is not None:
            self._add("weight", effect.scale)
        # A residual of the same stage must get the output without the bias.
        if bias is not None and "bias" in self._own and not has_functions:
            self._add("bias", bias)
            bias = None
        return Effect(low_rank=self._fuse(effect.low_rank), bias=bias)

    def _fuse(self, low_rank: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor] | None:
        """Make a plain linear layer, whose forward is not patched, add B A x; returns the factors if it cannot."""
        if low_rank is None or type(self._module) is not nn.Linear or "forward" in vars(self._module):
            return low_rank
        module, (down, up) = self._module, low_rank
        self._compute(lambda x: low_rank_linear(x, module.weight, module.bias, down, up))
        return None

    def _compute(self, forward: Callable[[Tensor], Tensor]) -> None:
        """Make the module compute this function of its input while bound."""
        vars(self._module)["forward"] = forward
        self._fused = True

    def _scale_inputs(self, change: Tensor) -> None:
        """Bind f((1 + change) * x) as changed weights; a Conv1D has the inputs in rows, a Linear in columns."""
        own: Any = self._own["weight"]
        factor = 1 + change
        self._module._parameters["weight"] = own * (factor if isinstance(self._module, nn.Linear) else factor[:, None])

    def _add(self, name: str, change: Tensor) -> None:
        """Bind the module's own vector plus the change; if the module has no bias, the change alone."""
        own = self._module._parameters[name]
        self._module._parameters[name] = change if own is None else own + change  # type: ignore[assignment]

    def _hook(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        if not self._active:
            return None
        rest = output[1:] if isinstance(output, tuple) else None
        h = output[0] if rest is not None else output
        if self._widened:
            h = h.to(self._own["weight"].dtype)
        for effect, functions in zip(self._stages, self._functions, strict=True):
            if effect.low_rank is not None:
                h = _add_low_rank(h, args[0], *effect.low_rank)
            for e in functions:
                if e.parallel is not None:
                    # The entry of a layer of experts reads the tokens of all rows in one.
                    h = h + e.parallel(self._read(args, effect is self._stages[-1])).reshape(h.shape)
            added = [add(h) for e in functions for add in e.sequential]
            if effect.bias is not None:
                added.append(effect.bias.to(h.dtype))
            for term in added:
                h = h + term
        return h if rest is None else (h, *rest)

    def _read(self, args: tuple[Any, ...], is_last: bool) -> Tensor:
        """The input x of a stage: for the last one the input of the sub-layer, if one ends here."""
        return self._entered if is_last and self._entered is not None else args[0]


def _merge(effects: Sequence[Effect]) -> Effect:
    """One effect for several: low-rank factors stacked along the rank, vectors summed."""
    pairs = [e.low_rank for e in effects if e.low_rank is not None]
    scales = [e.scale for e in effects if e.scale is not None]
    inputs = [e.input_scale for e in effects if e.input_scale is not None]
    biases = [e.bias for e in effects if e.bias is not None]
    low_rank = None
    if pairs:
        downs, ups = zip(*pairs, strict=True)
        low_rank = (torch.cat(downs), torch.cat(ups, dim=1)) if len(pairs) > 1 else pairs[0]
    return Effect(
        low_rank=low_rank,
        scale=sum(scales[1:], scales[0]) if scales else None,
        input_scale=sum(inputs[1:], inputs[0]) if inputs else None,
        bias=sum(biases[1:], biases[0]) if biases else None,
    )


def _add_low_rank(h: Tensor, x: Tensor, down: Tensor, up: Tensor) -> Tensor:
    """h + B A x, with the last product and the sum in one kernel."""
    thin = F.linear(x, down)
    return torch.addmm(h.flatten(0, -2), thin.flatten(0, -2), up.t()).view(h.shape)


def _wide(parameter: nn.Parameter | None) -> Any:
    return None if parameter is None else parameter.float()
