"""What a training pass computes of the backbone: its loss, with dropout that is cheap on a CPU."""

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

# The weight of each row of a batch in its loss, beside what the model reads; absent where all weigh one.
ROW_WEIGHTS = "row_weights"

# How many random bits decide about one element.
BITS = 16


def loss_of(model: nn.Module, batch: dict[str, Tensor], dropout: Dropout) -> Tensor:
    """The mean loss of a batch with labels, computed without what only serves writing or is not asked for.

    Keys and values are not kept. A decoder is given the labels of its last tokens alone, and gives the logits of these:
    as large as the vocabulary for each token, those of prompts would cost most of the memory. Rows with weights w and
    losses l have the mean of w l as theirs.
    """
    if ROW_WEIGHTS in batch:
        return _weighted_loss(model, batch, dropout)
    known = _arguments(type(model).forward)
    options: dict[str, Any] = {"use_cache": False} if "use_cache" in known else {}
    labels = batch["labels"]
    if labels.ndim == 2 and not config_of(model).is_encoder_decoder:
        if "logits_to_keep" in known:
            options["logits_to_keep"] = labels.shape[1]
        else:
            missing = batch["input_ids"].shape[1] - labels.shape[1]
            options["labels"] = F.pad(labels, (missing, 0), value=IGNORED_LABEL)
    with drawn(dropout, labels.device):
        loss: Tensor = model(**{**batch, **options}).loss
    return loss


def _weighted_loss(model: nn.Module, batch: dict[str, Tensor], dropout: Dropout) -> Tensor:
    """The same of a model with a head, which would weigh all rows alike."""
    read = {key: value for key, value in batch.items() if key not in ("labels", ROW_WEIGHTS)}
    with drawn(dropout, batch["labels"].device):
        logits = model(**read).logits
    return (F.cross_entropy(logits.float(), batch["labels"], reduction="none") * batch[ROW_WEIGHTS]).mean()


@cache
def _arguments(forward: Callable[..., object]) -> Set[str]:
    return inspect.signature(forward).parameters.keys()


def drawn(dropout: Dropout, device: torch.device) -> AbstractContextManager[object]:
    """Inside, a forward pass on a CPU draws its dropout masks from 16 random bits an element, if they shall be fast.

    Torch draws them one after the other, on a CPU that is not Intel's with a random number for each, which is a sixth
    of the time of a T5's pass. The masks come from the global generator too, and are the same on every CPU. The
    probability is rounded to a multiple of 2^-16, and what is kept is scaled by that one. GPUs are left alone. The
    context can be entered again.
    """
    return _Fast() if dropout == "fast" and device.type == "cpu" else nullcontext()


class _Fast(TorchFunctionMode):
    """Has dropout and attention with dropout computed here, and everything else where it always is."""

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if function is F.dropout:
            return _dropout(*args, **kwargs or {})
        if function is F.scaled_dot_product_attention and (kwargs or {}).get("dropout_p"):
            return _attention(*args, **kwargs or {})
        return function(*args, **kwargs or {})


def _dropout(x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    if not training or p == 0:
        return x
    scales = dropout_scales(x.shape, p, x.dtype)
    return x.mul_(scales) if inplace else x * scales


def dropout_scales(shape: torch.Size, p: float, dtype: torch.dtype) -> Tensor:
    """0 with the probability p, else 1 / (1 - p), drawn from the global generator."""
    values, count = 1 << BITS, math.prod(shape)
    dropped = round(p * values)
    if dropped == values:
        return torch.zeros(shape, dtype=dtype)
    # One draw of 64 bits costs as much as one of 16.
    bits = torch.empty(-(-count * BITS // 64), dtype=torch.int64).random_(torch.iinfo(torch.int64).min, None)
    scales = torch.empty(count, dtype=dtype)
    torch.ge(bits.view(torch.int16)[:count], dropped - values // 2, out=scales)
    return scales.mul_(values / (values - dropped)).view(shape)


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
    scores = query * (query.shape[-1] ** -0.5 if scale is None else scale) @ key.transpose(-2, -1)
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        # Not minus infinity: a row that sees nothing, which nobody reads, has no softmax then.
        scores = scores.masked_fill(~attn_mask, torch.finfo(scores.dtype).min)
    elif attn_mask is not None:
        scores = scores + attn_mask
    return _dropout(scores.softmax(-1), dropout_p) @ value
