"""How far each weight moves in a step, as a multiple of the learning rate: shared, or balanced over the deltas."""

from __future__ import annotations

import torch
from torch import Tensor

from core.model.gated import GatedModel
from core.run.spec import StepScale
from core.run.training import Training

# What multiplies the learning rate: a number for each weight (size), or 1 for all of them.
Scale = Tensor | float


def scale_of(model: GatedModel, kind: StepScale, settings: Training) -> Scale:
    """The multiples for the weights of a gated model; those of a head follow from `head_learning_rate`."""
    head = head_scale(settings)
    if kind == "shared" and head == 1.0:
        return 1.0
    of_head = model.of_head()
    deltas = model.balanced() if kind == "balanced" else torch.ones(len(of_head), device=of_head.device)
    return torch.where(of_head, head, deltas)


def head_scale(settings: Training) -> float:
    """The learning rate of a new head as a multiple of the others'."""
    return 1.0 if settings.head_learning_rate is None else settings.head_learning_rate / settings.learning_rate
