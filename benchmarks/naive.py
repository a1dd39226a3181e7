"""The search step as one would write it first, to measure against: what the paper's code does, written anew.

A module of its own for every delta and every site, a scalar parameter for every gate, two copies of the model, gates
read to the host one by one, the shift solved there by scipy, five forward and backward passes, module walks for every
list of parameters. Nothing of it is used outside the benchmarks.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import torch
from scipy.optimize import fsolve
from torch import Tensor, nn
from torch.nn import functional as F

from core.model.space import Placed


class LoRAModule(nn.Module):
    """scale * B A x."""

    def __init__(self, inputs: int, outputs: int, rank: int, scale: float) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.empty(rank, inputs).uniform_(-1 / math.sqrt(inputs), 1 / math.sqrt(inputs)))
        self.b = nn.Parameter(torch.zeros(outputs, rank))
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """The parallel output."""
        return (x @ self.a.T @ self.b.T) * self.scale


class BiasModule(nn.Module):
    """A bias as an output of its own."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, h: Tensor) -> Tensor:
        """The sequential output."""
        return torch.zeros_like(h) + self.bias


class NormModule(nn.Module):
    """A second weight of the normalisation, which normalises once more."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """The parallel output."""
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))


class AdapterModule(nn.Module):
    """A low-rank adapter that forms its matrices."""

    def __init__(self, outputs: int, reduction: int) -> None:
        super().__init__()
        m = max(1, outputs // reduction)
        self.down_left, self.down_right = (nn.Parameter(torch.randn(s) * 0.1) for s in ((outputs, 1), (1, m)))
        self.up_left, self.up_right = (nn.Parameter(torch.randn(s) * 0.1) for s in ((m, 1), (1, outputs)))
        self.down_bias, self.up_bias = nn.Parameter(torch.zeros(m)), nn.Parameter(torch.zeros(outputs))

    def forward(self, h: Tensor) -> Tensor:
        """The sequential output."""
        inner = F.gelu(h @ (self.down_left @ self.down_right) + self.down_bias, approximate="tanh")
        return inner @ (self.up_left @ self.up_right) + self.up_bias


class Mixed(nn.Module):
    """A module of the backbone in a wrapper that adds gated deltas one after the other."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.parallel, self.sequential = nn.ModuleList(), nn.ModuleList()
        self.alphas = nn.ParameterList()
        self.gates: dict[int, Tensor] = {}

    def __getattr__(self, name: str) -> Any:
        """What the wrapper lacks is asked of the module inside, as transformers look at `wo.weight`."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("inner"), name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """h = f(x) + sum of z * parallel(x); h + sum of z * sequential(h)."""
        output = self.inner(*args, **kwargs)
        h = output[0] if isinstance(output, tuple) else output
        gates = iter(self.gates.values())
        for delta in self.parallel:
            h = next(gates) * delta(*args) + h
        added = sum(next(gates) * delta(h) for delta in self.sequential)
        return (h + added, *output[1:]) if isinstance(output, tuple) else h + added


class NaiveSearch:
    """Two models, their gates, and the five-pass step."""

    def __init__(self, model: nn.Module, placed: list[Placed], budget: float, lr: float, alpha_lr: float) -> None:
        self.model, self.counts, self.budget = model, [p.candidate.parameters for p in placed], budget
        wrap(model, placed)
        self.virtual = copy.deepcopy(model)
        self.optimizer = torch.optim.AdamW(weights(model), lr=lr, weight_decay=0.0)
        self.alpha_optimizer = torch.optim.AdamW(alphas(model), lr=alpha_lr, weight_decay=0.0)
        self.lr = lr

    def step(self, train: dict[str, Tensor], validation: dict[str, Tensor]) -> float:
        """One step as the paper's code makes it; gives the loss of the weight step."""
        self._copy()
        u = torch.rand(len(self.counts))
        self._sample(self.model, u)
        gradients = torch.autograd.grad(self.model(**train).loss, weights(self.model), allow_unused=True)
        self._virtual_step(gradients)

        self._sample(self.virtual, u)
        loss = self.virtual(**validation).loss
        both = torch.autograd.grad(loss, alphas(self.virtual) + weights(self.virtual), allow_unused=True)
        direct, direction = both[: len(self.counts)], both[len(self.counts) :]
        hessian = self._second_order(direction, train, u)
        for alpha, d, h in zip(alphas(self.model), direct, hessian, strict=True):
            alpha.grad = d - self.lr * h
        torch.nn.utils.clip_grad_norm_(alphas(self.model), 2.0)
        self.alpha_optimizer.step()

        self.optimizer.zero_grad()
        self._sample(self.model, torch.rand(len(self.counts)))
        loss = self.model(**train).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights(self.model), 2.0)
        self.optimizer.step()
        return loss.item()

    @torch.no_grad()
    def _copy(self) -> None:
        for mine, its in zip(weights(self.model), weights(self.virtual), strict=True):
            its.copy_(mine)
        for mine, its in zip(alphas(self.model), alphas(self.virtual), strict=True):
            its.copy_(mine)

    def _sample(self, model: nn.Module, u: Tensor) -> None:
        host = np.array([alpha.item() for alpha in alphas(model)])
        counts = np.array(self.counts)

        def excess(shift: float) -> float:
            return float((counts / (1 + np.exp(-np.clip(host - shift, -200, None)))).sum() - self.budget)

        shift = float(fsolve(excess, 0.0)[0])
        p = torch.sigmoid(torch.cat(list(alphas(model))) - shift)
        z = torch.sigmoid(torch.log(u.to(p.device) * p / (1 - u.to(p.device)) / (1 - p)))
        numbers = iter(range(len(z)))
        for module in model.modules():
            if isinstance(module, Mixed):
                module.gates = {i: z[next(numbers)] for i in range(len(module.alphas))}

    @torch.no_grad()
    def _virtual_step(self, gradients: tuple[Tensor | None, ...]) -> None:
        for w, its, g in zip(weights(self.model), weights(self.virtual), gradients, strict=True):
            if g is None:
                continue
            state = copy.deepcopy(self.optimizer.state[w]) or {
                "step": torch.tensor(0.0), "exp_avg": torch.zeros_like(w), "exp_avg_sq": torch.zeros_like(w)
            }  # fmt: skip
            t = state["step"].item() + 1
            mean = state["exp_avg"].lerp_(g, 0.1)
            square = state["exp_avg_sq"].mul_(0.999).addcmul_(g, g, value=0.001)
            root = (square / (1 - 0.999**t)).sqrt_().add_(1e-8)
            its.copy_(w).addcdiv_(mean, root, value=-self.lr / (1 - 0.9**t))

    def _second_order(self, direction: tuple[Tensor | None, ...], train: dict[str, Tensor], u: Tensor) -> list[Tensor]:
        norm = torch.cat([d.view(-1) for d in direction if d is not None]).norm()
        epsilon = 0.01 / (norm + 1e-6)
        gradients = []
        for factor in (1.0, -2.0):
            self._move(direction, factor * epsilon)
            self._sample(self.model, u)
            gradients.append(torch.autograd.grad(self.model(**train).loss, alphas(self.model)))
        self._move(direction, epsilon)
        return [(a - b) / (2 * epsilon) for a, b in zip(*gradients, strict=True)]

    @torch.no_grad()
    def _move(self, direction: tuple[Tensor | None, ...], by: Tensor) -> None:
        for w, d in zip(weights(self.model), direction, strict=True):
            if d is not None:
                w += by * d


def weights(model: nn.Module) -> list[nn.Parameter]:
    """What is trained of a model but the gates, by walking it."""
    return [p for name, p in model.named_parameters() if p.requires_grad and "alphas" not in name]


def alphas(model: nn.Module) -> list[nn.Parameter]:
    """The gates of a model, by walking it."""
    return [p for name, p in model.named_parameters() if "alphas" in name]


def wrap(model: nn.Module, placed: list[Placed]) -> None:
    """Put every site into a wrapper; the inner ones first, as a sub-layer's wrapper holds them."""
    for p in sorted(placed, key=lambda p: p.site.kind == "block"):
        path = _current_path(model, p.site.module)
        module = model.get_submodule(path)
        if not isinstance(module, Mixed):
            module = Mixed(module)
            parent, _, name = path.rpartition(".")
            setattr(model.get_submodule(parent), name, module)
        delta, is_parallel = _delta(p)
        (module.parallel if is_parallel else module.sequential).append(delta)
        module.alphas.append(nn.Parameter(torch.zeros(1)))


def _current_path(model: nn.Module, path: str) -> str:
    """Where a module lies now that some of those above it may be in wrappers."""
    here = ""
    for part in path.split("."):
        inside = f"{here}.inner" if here and isinstance(model.get_submodule(here), Mixed) else here
        here = f"{inside}.{part}" if inside else part
    return here


def _delta(p: Placed) -> tuple[nn.Module, bool]:
    """The delta as a module, and whether it is parallel."""
    kind = p.candidate.delta.partition("(")[0]
    if kind == "lora":
        return LoRAModule(p.site.inputs, p.site.outputs, p.delta.rank, p.delta.factor), True  # type: ignore[attr-defined]
    if kind == "lnfit":
        return NormModule(p.site.outputs), True
    if kind == "bitfit":
        return BiasModule(p.site.outputs), False
    return AdapterModule(p.site.outputs, 32), False
