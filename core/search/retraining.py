"""The retraining phase: one structure, trained from scratch on the whole training split, tested at its best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import torch
from torch import Tensor, nn

from core.model.backbone import Backbone
from core.model.gated import GatedModel
from core.run.errors import DivergedError
from core.run.events import Eval, Phase, Step
from core.run.spec import RetrainSettings, RunSpec
from core.search.adamw import linear_decay
from core.search.data import Data, Order, total_steps
from core.search.evaluate import evaluate
from core.search.reporter import Reporter
from core.tasks.randomness import seed_for
from core.tasks.task import Split


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


def retrain(
    spec: RunSpec, trainee: Trainee, backbone: Backbone, data: Data, reporter: Reporter
) -> tuple[dict[str, float], dict[str, float]]:
    """Train, keep the best by validation score, and leave the trainee there; gives validation and test metrics."""
    settings = spec.retrain
    rows = len(data.splits["train"])
    total = total_steps(settings, rows)
    reporter.event(Phase("retrain", total), phase="retrain", step=0, total=total)
    optimizer = torch.optim.AdamW(trainee.parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    order = Order(range(rows), settings.batch_size, spec.seed)

    def score(split: Split) -> dict[str, float]:
        with trainee.bound():
            return evaluate(backbone, data, split, spec.eval_batch_size)

    best_score, best_metrics, best_parameters = -math.inf, dict[str, float](), list[Tensor]()
    for step in range(total):
        backbone.model.train()
        torch.manual_seed(seed_for(spec.seed, "retrain dropout", step))
        _train_step(settings, trainee, optimizer, data.batch("train", order.at(step)), step, total, reporter)
        if (step + 1) % settings.eval_every == 0 or step + 1 == total:
            metrics = score("validation")
            is_best = next(iter(metrics.values())) >= best_score
            if is_best:
                best_score, best_metrics = next(iter(metrics.values())), metrics
                best_parameters = [p.detach().clone() for p in trainee.parameters]
            reporter.evaluation(Eval("retrain", step + 1, "validation", metrics, is_best))
    _copy(best_parameters, trainee.parameters)
    reporter.event(Phase("test", 1), phase="test")
    tested = score("test")
    reporter.event(Eval("test", total, "test", tested, best=True))
    return best_metrics, tested


def _train_step(
    settings: RetrainSettings,
    trainee: Trainee,
    optimizer: torch.optim.Optimizer,
    batch: dict[str, Tensor],
    step: int,
    total: int,
    reporter: Reporter,
) -> None:
    """One AdamW step with clipping and linear decay; `step` is 0-based."""
    lr = settings.learning_rate * linear_decay(step, total, settings.warmup_steps)
    for group in optimizer.param_groups:
        group["lr"] = lr
    loss = trainee.loss(batch)
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    norm = torch.nn.utils.clip_grad_norm_(trainee.parameters, settings.clip)
    optimizer.step()
    values = torch.stack([loss.detach().double(), norm.double()]).tolist()
    if not all(map(math.isfinite, values)):
        raise DivergedError(
            f"retraining diverged at step {step + 1}: the loss is {values[0]}", "lower the learning rate"
        )
    reporter.event(Step("retrain", step + 1, values[0], values[1], lr), step=step + 1)


@torch.no_grad()
def _copy(source: Sequence[Tensor], target: Sequence[Tensor]) -> None:
    for a, b in zip(source, target, strict=True):
        b.copy_(a)
