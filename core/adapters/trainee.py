"""An adapter of PEFT in retraining: its weights, with fp32 copies of those that are not, and a new head."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from core.adapters.package import config_dict, state_dict
from core.model.targets import Plan
from core.run.structure import Candidate, Structure
from core.training.setup import Setup
from core.training.trainee import Complete


@dataclass(frozen=True)
class Weight:
    """A parameter of the network, which computes with `trained` (fp32) rounded to the type of `own`."""

    module: nn.Module
    attribute: str
    own: nn.Parameter
    trained: nn.Parameter

    def put(self, tensor: Tensor) -> None:
        """Let the network compute with this tensor."""
        self.module._parameters[self.attribute] = tensor  # type: ignore[assignment]


class AdapterTrainee(Complete):
    """What PEFT has set to be trained in a network, and the parameters of its head."""

    def __init__(self, setup: Setup, plan: Plan, model: Any, head_scale: float) -> None:
        self._setup, self._plan, self._model = setup, plan, model
        network, head = setup.backbone.model, set(setup.backbone.head)
        names = [name for name, p in network.named_parameters() if p.requires_grad and name not in head]
        self._names = [*names, *setup.backbone.head]
        self._weights = [_weight(network, name) for name in self._names]
        self.parameters: Sequence[Tensor] = [weight.trained for weight in self._weights]
        first = len(names)
        scaled = range(first, len(self._names)) if head_scale != 1.0 else ()
        self.scales: Mapping[int, float] = dict.fromkeys(scaled, head_scale)
        self.most = sum(p.numel() for p in self.parameters[:first])

    @property
    def network(self) -> nn.Module:
        """What is called in training; the loss of some methods has a part of their own."""
        return self._setup.backbone.model

    @contextmanager
    def bound(self) -> Iterator[nn.Module]:
        """A context in which the network computes with the trained weights."""
        rounded = [weight for weight in self._weights if weight.own is not weight.trained]
        for weight in rounded:
            weight.put(weight.trained.to(weight.own.dtype))
        try:
            yield self.network
        finally:
            for weight in rounded:
                weight.put(weight.own)

    def named(self) -> dict[str, Tensor]:
        """The tensors as PEFT saves them, and those of the head by their names in the backbone."""
        for weight in self._weights:
            weight.put(weight.trained)
        tensors = {name: tensor.detach().clone() for name, tensor in state_dict(self._model).items()}
        for weight in self._weights:
            weight.put(weight.own)
        head = set(self._setup.backbone.head)
        own = {n: w.trained.detach() for n, w in zip(self._names, self._weights, strict=True) if n in head}
        return tensors | own

    def facts(self) -> dict[str, Any]:
        """PEFT's configuration, of which the network can be made again."""
        return {"adapter": config_dict(self._model)}

    def structure(self) -> Structure:
        """The targets with the ranks that they have now."""
        candidates = self._plan.candidates
        ranks = self._ranks()
        selected = tuple(i for i, c in enumerate(candidates) if ranks.get(c.module, 0) == self._rank_of(c))
        chosen = set(selected)
        p = tuple(float(i in chosen) for i in range(len(candidates)))
        return Structure(tuple(candidates), p, selected, self._setup.budget, self._setup.spec.model)

    def _rank_of(self, candidate: Candidate) -> int:
        cost = next(t.cost for t in self._plan.targets if t.site.module == candidate.module)
        return candidate.parameters // cost

    def _ranks(self) -> dict[str, int]:
        """The rank of each target, by the path of its module: what it trains over what a rank costs."""
        costs = {target.site.module: target.cost for target in self._plan.targets}
        sizes = dict.fromkeys(costs, 0)
        for name, parameter in zip(self._names, self.parameters, strict=True):
            for path in costs:
                if name.startswith(f"{path}."):
                    sizes[path] += parameter.numel()
        return {path: size // costs[path] for path, size in sizes.items()}


class AllocatingTrainee(AdapterTrainee):
    """AdaLoRA: after each step PEFT updates how important ranks are, and takes some away."""

    def __init__(self, setup: Setup, plan: Plan, model: Any, head_scale: float) -> None:
        for name, parameter in model.named_parameters():
            if ".ranknum." in name:  # a constant, which PEFT sets to be trained where it changes its type
                parameter.requires_grad_(False)
        super().__init__(setup, plan, model, head_scale)
        self._allocator = model.base_model.rankallocator
        # PEFT's target is a whole number of ranks for each target; this is what the budget allows.
        self._allocator.target_bgt = plan.total

    @property
    def network(self) -> nn.Module:
        """PEFT's own, which adds the penalty that keeps A and B orthogonal."""
        network: nn.Module = self._model.base_model
        return network

    @property
    def _config(self) -> Any:
        return self._model.peft_config["default"]

    def stepped(self, step: int) -> None:
        """Let PEFT weigh, and hand out, ranks after this 1-based step, whose gradients are still there."""
        self._model.base_model.update_and_allocate(step)

    def is_complete(self, step: int) -> bool:
        """Whether all ranks that do not fit into the budget are taken away."""
        return bool(step >= self._config.total_step - self._config.tfinal)

    def state(self) -> dict[str, Tensor]:
        """How important PEFT takes weights to be."""
        means = {"mean": self._allocator.exp_avg_ipt, "uncertainty": self._allocator.exp_avg_unc}
        return {f"{kind}/{name}": tensor for kind, of in means.items() for name, tensor in of.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Set what `state` gave."""
        allocator, device = self._allocator, self.parameters[0].device
        targets = {"mean": allocator.exp_avg_ipt, "uncertainty": allocator.exp_avg_unc}
        for key, tensor in state.items():
            kind, _, name = key.partition("/")
            targets[kind][name] = tensor.to(device)
            allocator.ipt.setdefault(name, torch.zeros_like(targets[kind][name]))

    def _ranks(self) -> dict[str, int]:
        pattern = self._config.rank_pattern or {}
        return {name.partition(".lora_E")[0]: sum(kept) for name, kept in pattern.items()}


def _weight(network: nn.Module, name: str) -> Weight:
    path, _, attribute = name.rpartition(".")
    module = network.get_submodule(path)
    own = network.get_parameter(name)
    own.requires_grad_()
    return Weight(module, attribute, own, own if own.dtype == torch.float32 else nn.Parameter(own.detach().float()))
