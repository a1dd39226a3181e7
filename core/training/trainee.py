"""The trainable parameters in retraining: those of a structure on a frozen backbone, or the whole backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from core.model.gated import GatedModel
from core.training.optim.step_scale import Scale


class Trainee(Protocol):
    """The interface of a trainable model: a structure on a frozen backbone, or the whole backbone."""

    @property
    def parameters(self) -> Sequence[Tensor]:
        """The tensors that an optimiser updates."""

    @property
    def scales(self) -> Mapping[int, Scale]:
        """By the number of a parameter: how many times the optimiser's own step it moves. Those left out move once."""

    def bound(self) -> AbstractContextManager[nn.Module]:
        """A context in which the backbone computes with these parameters, forwards and backwards."""

    def named(self) -> dict[str, Tensor]:
        """The trained tensors by name."""

    def stepped(self, step: int) -> None:
        """Called after this 1-based step of the optimiser, while the gradients are still there."""

    def is_complete(self, step: int) -> bool:
        """Whether what is trained after `step` steps can be the result: whether it is within the budget."""

    def facts(self) -> dict[str, Any]:
        """The JSON values of a checkpoint of which the trainee can be made again."""

    def state(self) -> dict[str, Tensor]:
        """What else changes in training, beside the parameters."""

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Set what `state` gave."""


class Complete:
    """A trainee that changes nothing but its parameters, and may end at any step."""

    def stepped(self, step: int) -> None:
        """Nothing to do."""

    def is_complete(self, step: int) -> bool:
        """Always."""
        return True

    def facts(self) -> dict[str, Any]:
        """None: it follows from the settings and the structure."""
        return {}

    def state(self) -> dict[str, Tensor]:
        """Nothing."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Nothing to do."""


class StructureTrainee(Complete):
    """The deltas of a structure, with every gate open, and the head.

    With `separate`, every tensor is a parameter of its own, for optimisers that use the shapes of tensors; otherwise
    one vector holds them all.
    """

    def __init__(self, model: GatedModel, weights: Tensor, scale: Scale = 1.0, separate: bool = False) -> None:
        parts = [t.contiguous().clone() for t in model.layout.tensors(weights)] if separate else [weights]
        self.parameters: Sequence[Tensor] = [part.requires_grad_() for part in parts]
        scales = [] if isinstance(scale, float) else model.layout.tensors(scale) if separate else [scale]
        self.scales: Mapping[int, Scale] = dict(enumerate(scales))
        self._model, self._separate = model, separate
        self._gates = torch.ones(len(model.placed), device=model.device)

    @property
    def _weights(self) -> Tensor:
        if not self._separate:
            return self.parameters[0]
        slots = self._model.layout.slots
        return torch.cat([slot.flat(p) for slot, p in zip(slots, self.parameters, strict=True)])

    def bound(self) -> AbstractContextManager[nn.Module]:
        """A context in which the backbone computes with the deltas."""
        return self._model.bound(self._weights, self._gates)

    def named(self) -> dict[str, Tensor]:
        """The tensors of the deltas and the head."""
        return self._model.named(self._weights.detach())


class FullTrainee(Complete):
    """Every parameter of the backbone, as in full fine-tuning; those of a new head move `head_scale` times as far."""

    def __init__(self, backbone: nn.Module, head: Sequence[str] = (), head_scale: float = 1.0) -> None:
        self._backbone = backbone.requires_grad_()
        names = [name for name, _ in backbone.named_parameters()]
        self.scales: Mapping[int, Scale] = {names.index(name): head_scale for name in head if head_scale != 1.0}

    @property
    def parameters(self) -> Sequence[Tensor]:
        """All of the backbone's."""
        return list(self._backbone.parameters())

    def bound(self) -> AbstractContextManager[nn.Module]:
        """A context without effect: the parameters are the backbone's own."""
        return nullcontext(self._backbone)

    def named(self) -> dict[str, Tensor]:
        """The parameters by their names in the backbone; shared ones once."""
        return {name: p.detach() for name, p in self._backbone.named_parameters()}


@torch.no_grad()
def copy(source: Sequence[Tensor], target: Sequence[Tensor]) -> None:
    """Copy the values of `source` into the tensors of `target`, in place."""
    for a, b in zip(source, target, strict=True):
        b.copy_(a)
