"""An RMS norm with an fp32 weight in a bf16 network, as one differentiable operation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def is_rms_norm(module: nn.Module) -> bool:
    """Whether a module computes w * x / sqrt(mean(x^2) + variance_epsilon), as T5's and Llama's norms do.

    Their names say so; Cohere's, which subtracts the mean, has the same attributes.
    """
    return hasattr(module, "variance_epsilon") and type(module).__name__.endswith(("RMSNorm", "T5LayerNorm"))


def rms_norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """w * x / sqrt(mean(x^2) + epsilon) over the last axis of x (..., width), computed in fp32, in the type of x.

    Composed of single operations it keeps and writes several fp32 copies of x, which takes twice the time. Here x is
    kept as it is, and its fp32 copies are changed in place.
    """
    y: Tensor = _RMSNorm.apply(x, weight, epsilon)  # type: ignore[no-untyped-call]
    return y


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        wide = x.to(torch.float32, copy=True)
        norm = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
        inverse = norm.square_().div_(x.shape[-1]).add_(epsilon).rsqrt_()
        ctx.save_for_backward(x, weight, inverse)
        ctx.epsilon = epsilon
        return wide.mul_(inverse).mul_(weight).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, inverse = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        if torch.is_grad_enabled():  # a second derivative is wanted, which knows no changes in place
            given = [t for t, is_wanted in zip((x, weight), wanted, strict=False) if is_wanted]
            found = iter(torch.autograd.grad(_composed(x, weight, ctx.epsilon), given, gradients, create_graph=True))
            return *(next(found) if is_wanted else None for is_wanted in wanted[:2]), None
        normal, g = x.to(torch.float32, copy=True).mul_(inverse), gradients[0].float()
        product = g * normal
        to_x = None
        if wanted[0]:
            mean = (product @ weight).div_(x.shape[-1]).unsqueeze(-1)
            to_x = (g * weight).addcmul_(normal, mean, value=-1).mul_(inverse).to(x.dtype)
        return to_x, product.flatten(0, -2).sum(0) if wanted[1] else None, None


def _composed(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    wide = x.float()
    return (weight * (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + epsilon))).to(x.dtype)
