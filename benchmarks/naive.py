"""The search step as the paper's code makes it, written anew to be measured against.

What is in it is what https://github.com/thunlp/S3Delta does (`NAS_global/{trainer,architect,s3delta,delta_layers}.py`
with its defaults, on the eager attention of the transformers 4.10 that it requires), operation by operation:

- a module of its own for every delta, in a wrapper around every site, which adds gate * output + 0 for the first
  delta, + the sum so far for the next, and the sum to what the site gave, even where there is none;
- a scalar parameter for every gate, and a host read of every gate in every pass (`if rate > 0`);
- two copies of the model; before each step weights and alphas are copied from one to the other, and the walk over all
  modules is made anew for each list of parameters and each `train()`;
- seven samplings a step (both models before it, and one a pass), of which three solve the shift on the host with scipy
  from alphas that are read one by one;
- five passes: the virtual step with a deep copy of the optimiser's state, the validation loss with gradients to alphas
  and weights, the training loss at w + e d and at w - e d, and the weight step, whose backward reaches the alphas too;
- dropout masks drawn anew in every pass, attention masks and shifted labels as its collator and trainer give them.

Left out: its logging, its evaluation, and the attributes that it sets on parameters. Nothing of this file is used
outside the benchmarks.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from scipy.optimize import fsolve
from torch import Tensor, nn
from transformers.activations import NewGELUActivation

from core.model.space import Placed

EPSILON = 1e-7


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
        variance = x.to(torch.float32).pow(2).mean(-1, keepdim=True)
        return self.weight * (x * torch.rsqrt(variance + 1e-6)).to(self.weight.dtype)


class ThinLinear(nn.Module):
    """A linear layer whose matrix is a product of two thin ones, and is formed."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.left, self.right = nn.Parameter(torch.randn(inputs, 1) * 0.1), nn.Parameter(torch.randn(1, outputs) * 0.1)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """x L R + b."""
        output = torch.matmul(x, self.left @ self.right)
        output += self.bias
        return output


def adapter_module(outputs: int, reduction: int) -> nn.Module:
    """A low-rank adapter, with the activation of transformers in six elementary operations."""
    m = max(1, outputs // reduction)
    return nn.Sequential(ThinLinear(outputs, m), NewGELUActivation(), ThinLinear(m, outputs))


class Mixed(nn.Module):
    """A module of the backbone in a wrapper that adds gated deltas one after the other."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.parallel, self.sequential = nn.ModuleList(), nn.ModuleList()
        self.alphas = nn.ParameterList()
        self.costs: list[int] = []
        self.gates: list[Tensor] = []

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
        count = len(self.parallel)
        h = _gated_sum(self.parallel, self.gates[:count], args) + h
        h = _gated_sum(self.sequential, self.gates[count:], (h,)) + h
        return (h, *output[1:]) if isinstance(output, tuple) else h


def _gated_sum(deltas: Iterable[nn.Module], gates: Sequence[Tensor], args: tuple[Any, ...]) -> Any:
    total: Any = 0
    for delta, gate in zip(deltas, gates, strict=True):
        output = delta(*args)
        if gate > 0:
            total = gate * output + total
    return total


class NaiveSearch:
    """Two models, their gates, and the five-pass step."""

    def __init__(self, model: nn.Module, placed: list[Placed], budget: float, lr: float, alpha_lr: float) -> None:
        self.model, self.lr = model, lr
        wrap(model, placed)
        self.virtual = copy.deepcopy(model)
        self.gates = {network: Gates(network, budget) for network in (self.model, self.virtual)}
        self.optimizer = torch.optim.AdamW(weights(model), lr=lr, weight_decay=0.0)
        self.alpha_optimizer = torch.optim.AdamW(alphas(model), lr=alpha_lr, weight_decay=0.0)

    def step(self, train: dict[str, Tensor], validation: dict[str, Tensor]) -> Tensor:
        """One step as the paper's code makes it; gives the loss of the weight step."""
        self.model.train()
        self.virtual.train()
        self._copy()
        u = torch.rand(len(alphas(self.model)))
        for gates in self.gates.values():
            gates.sample(u)

        self.alpha_optimizer.zero_grad()
        self._unrolled_backward(train, validation)
        torch.nn.utils.clip_grad_norm_(alphas(self.model), 2.0)
        self.alpha_optimizer.step()

        self.optimizer.zero_grad()
        self.gates[self.model].sample(torch.rand(len(u)))
        loss = self._loss(self.model, train)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights(self.model), 2.0)
        self.optimizer.step()
        return loss

    @torch.no_grad()
    def _copy(self) -> None:
        for mine, its in zip(weights(self.model), weights(self.virtual), strict=True):
            its.copy_(mine)
        for mine, its in zip(alphas(self.model), alphas(self.virtual), strict=True):
            its.copy_(mine)

    def _loss(self, model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        more = {}
        if hasattr(model, "_shift_right"):
            more["decoder_input_ids"] = model._shift_right(batch["labels"])
        return model(**batch, **more, attention_mask=torch.ones_like(batch["input_ids"])).loss

    def _unrolled_backward(self, train: dict[str, Tensor], validation: dict[str, Tensor]) -> None:
        self.gates[self.model].sample_again()
        gradients = torch.autograd.grad(self._loss(self.model, train), weights(self.model), allow_unused=True)
        self._virtual_step(gradients)

        self.gates[self.virtual].sample_again()
        loss = self._loss(self.virtual, validation)
        to_alphas, to_weights = alphas(self.virtual), weights(self.virtual)
        both = torch.autograd.grad(loss, to_alphas + to_weights, allow_unused=True)
        direct, direction = both[: len(to_alphas)], both[len(to_alphas) :]
        hessian = self._second_order(direction, train)
        for alpha, d, h in zip(alphas(self.model), direct, hessian, strict=True):
            alpha.grad = d - self.lr * h

    @torch.no_grad()
    def _virtual_step(self, gradients: tuple[Tensor | None, ...]) -> None:
        for w, its, g in zip(weights(self.model), weights(self.virtual), gradients, strict=True):
            if g is None:
                continue
            its.copy_(w)
            state = copy.deepcopy(self.optimizer.state[w]) or {
                "step": torch.tensor(0.0), "exp_avg": torch.zeros_like(w), "exp_avg_sq": torch.zeros_like(w)
            }  # fmt: skip
            t = state["step"].item() + 1
            mean = state["exp_avg"].lerp_(g, 0.1)
            square = state["exp_avg_sq"].mul_(0.999).addcmul_(g, g, value=0.001)
            root = (square / (1 - 0.999**t)).sqrt_().add_(1e-8)
            its.addcdiv_(mean, root, value=-self.lr / (1 - 0.9**t))
        for mine, its in zip(alphas(self.model), alphas(self.virtual), strict=True):
            its.copy_(mine)

    def _second_order(self, direction: tuple[Tensor | None, ...], train: dict[str, Tensor]) -> list[Tensor]:
        norm = torch.cat([d.view(-1) for d in direction if d is not None]).norm()
        if norm == 0:
            print("the direction of the second order is zero")
        epsilon = 0.01 / (norm + 1e-6)
        gradients = []
        for factor in (1.0, -2.0):
            self._move(direction, factor * epsilon)
            self.gates[self.model].sample_again()
            gradients.append(torch.autograd.grad(self._loss(self.model, train), alphas(self.model)))
        self._move(direction, epsilon)
        return [(a - b) / (2 * epsilon) for a, b in zip(*gradients, strict=True)]

    @torch.no_grad()
    def _move(self, direction: tuple[Tensor | None, ...], by: Tensor) -> None:
        for w, d in zip(weights(self.model), direction, strict=True):
            if d is not None:
                w += by * d


class Gates:
    """The gates of one model: solved on the host, sampled, and handed out one by one."""

    def __init__(self, model: nn.Module, budget: float) -> None:
        self._mixed = [module for module in model.modules() if isinstance(module, Mixed)]
        self._alphas = [alpha for module in self._mixed for alpha in module.alphas]
        self._costs = [cost for module in self._mixed for cost in module.costs]
        self._budget = budget
        self._shift, self._u = 0.0, torch.empty(0)

    def sample(self, u: Tensor) -> None:
        """Solve the shift, and sample with these uniforms."""
        host = np.array([alpha.item() for alpha in self._alphas])
        counts = np.array(self._costs)

        def excess(shift: float) -> float:
            x = host - shift
            x[x < -200] = -200
            return float((1 / (1 + np.exp(-x)) * counts).sum() - self._budget * (1 - EPSILON))

        self._shift, self._u = float(fsolve(excess, self._shift)[0]), u
        self.sample_again()

    def sample_again(self) -> None:
        """The gates for the shift and the uniforms of before, with a graph of their own."""
        x = torch.cat(self._alphas, dim=0) - self._shift
        x[x < -200] = -200
        p = torch.sigmoid(x)
        nudge = torch.zeros_like(p)
        nudge[p == 1], nudge[p == 0] = -EPSILON, EPSILON
        p = p + nudge
        p = p / p.sum() * p.sum().detach()
        u = self._u
        u[u == 0], u[u == 1] = EPSILON, 1 - EPSILON
        u = u.to(p.device)
        s = torch.sigmoid(torch.log(u * p / (1 - u) / (1 - p)))
        z = torch.min(torch.ones(len(s)).to(s.device), torch.max(torch.zeros(len(s)).to(s.device), s))
        if torch.sum(z) == 0:
            largest = torch.argmax(p)
            z[largest] = p[largest]
        numbers = iter(range(len(z)))
        for module in self._mixed:
            module.gates = [z[next(numbers)] for _ in module.alphas]


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
        module.costs.append(p.candidate.parameters)


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
    return adapter_module(p.site.outputs, 32), False
