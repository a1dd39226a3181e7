"""What a training pass computes: dropout as torch has it, drawn cheaply, and no keys and values for later."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support import DECODERS, EARLIER, FAMILIES, batch, build
from torch.nn import functional as F

from core.runtime.device import bf16_instructions
from core.training.loss import FEW_KEYS, drawn, dropout_scales, loss_of

CPU = torch.device("cpu")
# Decoders since Llama have no dropout of their own.
WITH_DROPOUT = [*sorted(set(EARLIER) - set(DECODERS)), "gpt2"]


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_elements_are_dropped_with_the_probability_and_the_mean_stays(p):
    torch.manual_seed(0)
    scales = dropout_scales(torch.Size((1000, 1003)), p, torch.float32)
    assert len(scales.unique()) == 2
    assert (scales == 0).float().mean().item() == pytest.approx(p, abs=2e-3)
    assert scales.mean().item() == pytest.approx(1.0, abs=6e-3)


def test_elements_of_one_draw_are_dropped_independently():
    torch.manual_seed(0)
    dropped = (dropout_scales(torch.Size((250_000, 4)), 0.5, torch.float32) == 0).double()
    assert (torch.corrcoef(dropped.T) - torch.eye(4)).abs().max() < 0.01


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_at_its_ends_dropout_keeps_all_or_nothing(p):
    x = torch.randn(3, 5)
    with drawn("fast", CPU):
        assert torch.equal(F.dropout(x, p), x * (1 - p))
        assert F.dropout(x, p, training=False) is x


@pytest.mark.parametrize("in_place", [False, True])
def test_a_mask_is_the_same_for_the_same_seed_and_the_gradient_has_it_too(in_place):
    def run() -> tuple[torch.Tensor, torch.Tensor]:
        torch.manual_seed(3)
        x = torch.ones(4, 50, requires_grad=True)
        with drawn("fast", CPU):
            y = F.dropout(x * 1, 0.3, inplace=in_place)
        return y.detach(), torch.autograd.grad(y.sum(), x)[0]

    (y, gradient), (again, _) = run(), run()
    assert torch.equal(y, again)
    assert torch.equal(y, gradient)
    assert 0 < (y == 0).sum() < y.numel()


every_attention = pytest.mark.parametrize(
    "options",
    [
        {},
        {"is_causal": True},
        {"scale": 1.0, "attn_mask": torch.linspace(-2, 2, 2 * 4 * 5 * 5).view(2, 4, 5, 5)},
        {"attn_mask": torch.ones(5, 5, dtype=torch.bool).tril()},
        {"enable_gqa": True},
    ],
    ids=["plain", "causal", "bias", "mask", "groups"],
)


@every_attention
def test_attention_with_dropout_is_that_of_torch(options: dict[str, Any]):
    place = torch.Generator().manual_seed(0)
    heads = 2 if "enable_gqa" in options else 4
    query, key, value = (torch.randn(2, n, 5, 8, generator=place) for n in (4, heads, heads))
    plain = F.scaled_dot_product_attention(query, key, value, **options)
    with drawn("fast", CPU):
        # So rare that nothing is dropped.
        rare = F.scaled_dot_product_attention(query, key, value, dropout_p=1e-9, **options)
        torch.manual_seed(0)
        many = [F.scaled_dot_product_attention(query, key, value, dropout_p=0.5, **options) for _ in range(4000)]
    torch.testing.assert_close(rare, plain, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(torch.stack(many).mean(0), plain, rtol=0, atol=0.15)


@every_attention
def test_attention_in_bf16_without_dropout_has_the_gradients_of_fp32(options: dict[str, Any]):
    place = torch.Generator().manual_seed(0)
    heads = 2 if "enable_gqa" in options else 4
    given = [torch.randn(2, n, 5, 8, generator=place).bfloat16() for n in (4, heads, heads)]
    exact = [x.float().requires_grad_() for x in given]
    F.scaled_dot_product_attention(*exact, **options).square().sum().backward()

    rounded = [x.requires_grad_() for x in given]
    mask = options.get("attn_mask")
    if mask is not None and mask.is_floating_point():
        options = options | {"attn_mask": mask.bfloat16()}
    with drawn("fast", CPU):
        y = F.scaled_dot_product_attention(*rounded, **options)
    y.square().sum().backward()

    assert y.dtype == torch.bfloat16
    for ours, theirs in zip(rounded, exact, strict=True):
        assert (ours.grad.float() - theirs.grad).norm() < 0.02 * theirs.grad.norm()


# Torch's fused attention in bf16 asks the processor, not ATEN_CPU_CAPABILITY, which of its kernels it may call.
@pytest.mark.skipif(
    not bf16_instructions(torch.cpu.get_capabilities(), torch.backends.cpu.get_cpu_capability()),
    reason="torch computes bf16 without native instructions here",
)
def test_long_texts_in_bf16_have_the_fused_attention_of_torch():
    def is_fused(length: int) -> bool:
        query, key, value = torch.ones(3, 1, 1, length, 8, dtype=torch.bfloat16).requires_grad_()
        return "ScaledDotProduct" in type(F.scaled_dot_product_attention(query, key, value).grad_fn).__name__

    with drawn("fast", CPU):
        assert not is_fused(FEW_KEYS)
        assert is_fused(FEW_KEYS + 1)


@pytest.mark.parametrize("family", WITH_DROPOUT)
def test_no_mask_of_a_family_is_drawn_by_torch(family, monkeypatch):
    model = build(family).train()
    with torch.no_grad():
        torch.manual_seed(1)
        loss = loss_of(model, batch(family), "fast")
        torch.manual_seed(1)
        again = loss_of(model, batch(family), "fast")
        other = loss_of(model, batch(family), "fast")
        monkeypatch.setattr("core.training.loss.dropout_scales", lambda shape, p, dtype: torch.ones(shape, dtype=dtype))
        undropped = loss_of(model, batch(family), "fast")
    assert torch.equal(loss, again)
    assert not torch.equal(loss, other)
    torch.testing.assert_close(undropped, loss_of(model.eval(), batch(family), "fast"), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_training_keeps_no_keys_and_values_for_tokens_to_come(family):
    outputs: list[Any] = []
    model = build(family).train()
    model.register_forward_hook(lambda module, args, output: outputs.append(output))
    loss_of(model, batch(family), "fast")
    assert getattr(outputs[0], "past_key_values", None) is None
