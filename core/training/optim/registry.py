"""The optimisers of the delta weights in a search: pure functions over explicit state, with the VJP of the step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from core.model.layout import Layout
from core.training.optim import adamw
from core.training.optim.adafactor import Adafactor

# `adamw.Moments` or `adafactor.Factored`: a frozen dataclass of a step and of tensors, as its optimiser has it.
State = Any


class Optimizer(Protocol):
    """An optimiser of all weights in one vector, as pure functions."""

    def initial(self, weights: Tensor, /) -> State:
        """The state before the first step."""

    def update(
        self, weights: Tensor, gradient: Tensor, state: State, lr: float | Tensor, weight_decay: float = 0.0, /
    ) -> tuple[Tensor, State]:
        """One step: the new weights and the new state. `lr` is a number, or one for each weight."""

    def vjp(self, gradient: Tensor, state: State, lr: float | Tensor, direction: Tensor, /) -> Tensor:
        """The vector-Jacobian product (d w' / d g)^T `direction`, w' being the weights after a step with gradient g."""


def optimizer_of(name: str, layout: Layout, device: torch.device) -> Optimizer:
    """The optimiser of this name, for weights that lie as `layout` says."""
    return Adafactor([slot.stored for slot in layout.slots], device) if name == "adafactor" else adamw


def tensors_of(state: State, owner: str) -> dict[str, Tensor]:
    """The tensors of a state as `owner.NAME`."""
    return {f"{owner}.{f.name}": getattr(state, f.name) for f in fields(state) if f.name != "step"}


def restored(start: State, step: int, tensors: Mapping[str, Tensor], owner: str) -> State:
    """The state after so many steps from such tensors; `start` is any state of the same optimiser."""
    return replace(start, step=step, **{name.partition(".")[2]: tensors[name] for name in tensors_of(start, owner)})
