"""The loss of a training pass, with dropout masks that are cheap to sample on a CPU."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Set
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from core.model.sites import config_of
from core.run.spec import Dropout
from core.tasks.batches import IGNORED_LABEL

# The key of a batch with the weight of each row in the loss; absent if all weights are 1.
ROW_WEIGHTS = "row_weights"

# Random bits per element of a dropout mask.
BITS = 16

# Keys up to which attention in bf16 without dropout is faster in separate operations, forwards and backwards.
FEW_KEYS = 256


def loss_of(model: nn.Module, batch: dict[str, Tensor], dropout: Dropout) -> Tensor:
    """The mean loss of a batch with labels, without computing what the loss does not need.

    No cache of keys and values is built. A decoder computes logits only for the last tokens, which have labels: logits
    are as large as the vocabulary for each token, and those of prompts would take most of the memory. With row weights
    w, the loss is the mean of w times the loss of each row.
    """
    if ROW_WEIGHTS in batch:
        return _weighted_loss(model, batch, dropout)
    known = _arguments(type(model).forward)
    options: dict[str, Any] = {"use_cache": False} if "use_cache" in known else {}
    labels = batch["labels"]
    if labels.ndim == 2 and not config_of(model).is_encoder_decoder:
        length = batch["input_ids"].shape[1]
        missing = length - labels.shape[1]
        if "logits_to_keep" in known:
            # Positions, not their number: that takes a slice, for which torch copies the output matrix for each row.
            options["logits_to_keep"] = torch.arange(missing, length, device=labels.device)
        else:
            options["labels"] = F.pad(labels, (missing, 0), value=IGNORED_LABEL)
    with drawn(dropout, labels.device):
        loss: Tensor = model(**{**batch, **options}).loss
    return loss


def exact_loss(model: nn.Module, batch: dict[str, Tensor], dropout: Dropout) -> Tensor:
    """The same loss, computed in fp32 from the logits: bf16 has two digits, and would round off differences."""
    with _Exact():
        return loss_of(model, batch, dropout)


class _Exact(TorchFunctionMode):
    """Computes the losses of models in fp32, whatever the precision of their logits, and no other function."""

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if function in (F.cross_entropy, F.mse_loss):
            args = tuple(a.float() if isinstance(a, Tensor) and a.is_floating_point() else a for a in args)
        return function(*args, **kwargs or {})


def _weighted_loss(model: nn.Module, batch: dict[str, Tensor], dropout: Dropout) -> Tensor:
    """The loss of a model with a head and row weights, computed from its logits, as models have no row weights."""
    read = {key: value for key, value in batch.items() if key not in ("labels", ROW_WEIGHTS)}
    with drawn(dropout, batch["labels"].device):
        logits = model(**read).logits
    return (F.cross_entropy(logits.float(), batch["labels"], reduction="none") * batch[ROW_WEIGHTS]).mean()


@cache
def _arguments(forward: Callable[..., object]) -> Set[str]:
    return inspect.signature(forward).parameters.keys()


def drawn(dropout: Dropout, device: torch.device) -> AbstractContextManager[object]:
    """A context in which forward passes on a CPU sample dropout masks from 16 random bits per element, if "fast".

    Torch samples them sequentially, on CPUs other than Intel's with a random number for each element, which takes a
    sixth of the time of a T5's pass. These masks use the global generator too, and are the same on every CPU. The
    probability is rounded to a multiple of 2^-16, and the scale of kept elements follows from that. GPUs are not
    affected. The context is reusable.
    """
    return _Fast() if dropout == "fast" and device.type == "cpu" else nullcontext()


class _Fast(TorchFunctionMode):
    """Replaces dropout and attention by the functions of this module where those are faster, and no other function."""

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if function is F.dropout:
            return _dropout(*args, **kwargs or {})
        if function is F.scaled_dot_product_attention and _is_faster(*args, **kwargs or {}):
            return _attention(*args, **kwargs or {})
        return function(*args, **kwargs or {})


def _dropout(x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    if not training or p == 0:
        return x
    scales = dropout_scales(x.shape, p, x.dtype)
    return x.mul_(scales) if inplace else x * scales


def dropout_scales(shape: torch.Size, p: float, dtype: torch.dtype) -> Tensor:
    """A dropout mask: 0 with probability p, else 1 / (1 - p), sampled with the global generator."""
    values, count = 1 << BITS, math.prod(shape)
    dropped = round(p * values)
    if dropped == values:
        return torch.zeros(shape, dtype=dtype)
    # One draw of 64 bits costs as much as one of 16.
    bits = torch.empty(-(-count * BITS // 64), dtype=torch.int64).random_(torch.iinfo(torch.int64).min, None)
    scales = torch.empty(count, dtype=dtype)
    torch.ge(bits.view(torch.int16)[:count], dropped - values // 2, out=scales)
    return scales.mul_(values / (values - dropped)).view(shape)


def _is_faster(query: Tensor, key: Tensor, value: Tensor, *args: Any, dropout_p: float = 0.0, **options: Any) -> bool:
    """Whether `_attention` takes less time than torch: with dropout, and where bf16 has a backward pass.

    That of torch's fused attention in bf16 takes up to seven times as long, and half as long again for FEW_KEYS.
    """
    if dropout_p:
        return True
    is_trained = torch.is_grad_enabled() and any(x.requires_grad for x in (query, key, value))
    return is_trained and query.dtype == torch.bfloat16 and key.shape[-2] <= FEW_KEYS


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(scale q k^T + mask) v with dropout on the weights, as `scaled_dot_product_attention` does on a CPU."""
    if enable_gqa:
        key, value = (x.repeat_interleave(query.shape[-3] // x.shape[-3], -3) for x in (key, value))
    if is_causal:
        attn_mask = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device).tril()
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    scores = (query if scale == 1 else query * scale) @ key.transpose(-2, -1)
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        # Not minus infinity, as the softmax of a fully masked row (padding) would be NaN.
        scores = scores.masked_fill(~attn_mask, torch.finfo(scores.dtype).min)
    elif attn_mask is not None:
        scores = scores + attn_mask
    return _dropout(scores.softmax(-1), dropout_p) @ value
