"""The fused RMS norm is the norm of the models that it stands for, with its derivatives."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import transformers
from support import FAMILIES, build
from torch import Tensor

from core.model.rmsnorm import is_rms_norm, rms_norm

FUSED = ("t5", "t5-v1.1", "mt5", "llama", "mistral", "qwen2", "qwen3", "phi3", "olmo2", "smollm3", "granite",
         "qwen2_moe", "mixtral")  # fmt: skip


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_taken_for_an_rms_norm_computes_one(family: str):
    norms = [m for m in build(family).modules() if is_rms_norm(m)]
    assert bool(norms) == (family in FUSED)
    for number, norm in enumerate(norms):
        width = len(norm.weight)
        norm.weight.data = 1 + 0.3 * numbers(width, seed=number)
        x = 3 * numbers(2, 5, width, seed=number)
        torch.testing.assert_close(rms_norm(x, norm.weight, norm.variance_epsilon), norm(x))


def test_a_norm_that_subtracts_the_mean_is_not_one():
    from transformers.models.cohere.modeling_cohere import CohereLayerNorm

    assert not is_rms_norm(CohereLayerNorm(8))
    assert not is_rms_norm(torch.nn.LayerNorm(8))


def test_gradients_in_bf16_are_those_in_fp32_rounded():
    weight, x, g = 1 + 0.3 * numbers(64), numbers(4, 7, 64, seed=1).bfloat16(), numbers(4, 7, 64, seed=2).bfloat16()
    norm = transformers.models.t5.modeling_t5.T5LayerNorm(64)
    norm.weight.data = weight.clone()
    wide = x.float().requires_grad_()
    norm(wide).backward(g.float())

    fused, w = x.clone().requires_grad_(), weight.clone().requires_grad_()
    y = rms_norm(fused, w, norm.variance_epsilon)
    y.backward(g)

    assert y.dtype == fused.grad.dtype == torch.bfloat16
    torch.testing.assert_close(y, norm(wide).bfloat16(), rtol=2**-7, atol=0)
    torch.testing.assert_close(fused.grad, wide.grad.bfloat16(), rtol=2**-7, atol=1e-6)
    torch.testing.assert_close(w.grad, norm.weight.grad)


def test_its_second_derivative_is_that_of_its_operations():
    def plain(x: Tensor, w: Tensor) -> Tensor:
        return w * (x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6))

    def second(of: Callable[[Tensor, Tensor], Tensor]) -> tuple[Tensor, ...]:
        x, w = numbers(3, 8).requires_grad_(), (1 + 0.3 * numbers(8, seed=1)).requires_grad_()
        to_x, to_w = torch.autograd.grad((of(x, w) * numbers(3, 8, seed=2)).sum(), (x, w), create_graph=True)
        return torch.autograd.grad((to_x * numbers(3, 8, seed=3)).sum() + to_w @ numbers(8, seed=4), (x, w))

    torch.testing.assert_close(second(lambda x, w: rms_norm(x, w, 1e-6)), second(plain))
