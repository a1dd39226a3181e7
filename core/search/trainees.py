"""What retraining trains: a structure on a frozen backbone, or the whole backbone."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import torch
from torch import Tensor, nn

from core.model.gated import GatedModel


class Trainee(Protocol):
    """Something with parameters and a loss: a structure on a frozen backbone, or the whole backbone."""

    @property
    def parameters(self) -> Sequence[Tensor]:
        """The tensors that an optimiser moves."""

    def loss(self, batch: dict[str, Tensor]) -> Tensor:
        """The mean loss of a batch."""

    def bound(self) -> AbstractContextManager[object]:
        """A context in which the backbone computes with these parameters."""

    def named(self) -> dict[str, Tensor]:
        """What is trained, by name."""


class StructureTrainee:
    """The deltas of a structure, every gate open, and the head."""

    def __init__(self, model: GatedModel, weights: Tensor) -> None:
        self.weights = weights.requires_grad_()
        self._model = model
        self._gates = torch.ones(len(model.placed), device=model.device)

    @property
    def parameters(self) -> Sequence[Tensor]:
        """The one vector of all weights."""
        return [self.weights]

    def loss(self, batch: dict[str, Tensor]) -> Tensor:
        """The mean loss of a batch."""
        return self._model.loss(self.weights, self._gates, batch)

    def bound(self) -> AbstractContextManager[object]:
        """The backbone with the deltas."""
        return self._model.bound(self.weights, self._gates)

    def named(self) -> dict[str, Tensor]:
        """The tensors of deltas and head."""
        return self._model.named(self.weights.detach())


class FullTrainee:
    """Every parameter of the backbone, as in full fine-tuning."""

    def __init__(self, backbone: nn.Module) -> None:
        self._backbone = backbone.requires_grad_()

    @property
    def parameters(self) -> Sequence[Tensor]:
        """All of the backbone's."""
        return list(self._backbone.parameters())

    def loss(self, batch: dict[str, Tensor]) -> Tensor:
        """The mean loss of a batch."""
        loss: Tensor = self._backbone(**batch).loss
        return loss

    def bound(self) -> AbstractContextManager[object]:
        """Nothing to do: the parameters are the backbone's own."""
        return nullcontext()

    def named(self) -> dict[str, Tensor]:
        """The parameters by their names in the backbone; tied ones once."""
        return {name: p.detach() for name, p in self._backbone.named_parameters()}


@torch.no_grad()
def copy(source: Sequence[Tensor], target: Sequence[Tensor]) -> None:
    """Give the tensors of `target` the values of `source`."""
    for a, b in zip(source, target, strict=True):
        b.copy_(a)
