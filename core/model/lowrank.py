"""A frozen linear layer plus a low-rank update, as one differentiable operation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def low_rank_linear(x: Tensor, weight: Tensor, bias: Tensor | None, down: Tensor, up: Tensor) -> Tensor:
    """W x + b + B A x (..., out), for x: (..., in), W: (out, in), b: (out) or None, A: (r, in) and B: (out, r).

    The thin products are added in place to the large ones, forwards and backwards, so that no other copy of y or of
    its gradient to x is made. Beside x the thin A x is kept; it is computed again only where the backward pass is to be
    differentiable.
    """
    y: Tensor = _LowRankLinear.apply(x, weight, bias, down, up)  # type: ignore[no-untyped-call]
    return y


class _LowRankLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, down: Tensor, up: Tensor) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        read = rows @ down.t()
        ctx.save_for_backward(x, weight, down, up, read)
        y = F.linear(rows, weight, bias).addmm_(read, up.t())
        return y.view(*x.shape[:-1], len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        # As a rule the weight is frozen; an (IA)3 on the input is a change of it.
        x, weight, down, up, read = ctx.saved_tensors
        to_x, to_weight, to_bias, to_down, to_up = ctx.needs_input_grad
        rows, g = x.reshape(-1, x.shape[-1]), gradients[0].reshape(-1, len(weight))
        thin = g @ up
        return (
            (g @ weight).addmm_(thin, down).view(x.shape) if to_x else None,
            g.t() @ rows if to_weight else None,
            g.sum(0) if to_bias else None,
            thin.t() @ rows if to_down else None,
            g.t() @ (rows @ down.t() if torch.is_grad_enabled() else read) if to_up else None,
        )
