"""The retraining phase: trains one structure on the whole training split, and tests the best state."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from core.run.errors import DivergedError, StoppedError
from core.run.events import Eval, Phase, Step, score_of
from core.run.limit import Limit
from core.run.spec import Dropout
from core.run.structure import Structure
from core.run.training import RetrainSettings
from core.runtime import process_group
from core.runtime.checkpoint import Snapshot
from core.runtime.checkpointer import Checkpointer
from core.runtime.reporter import Reporter
from core.runtime.stop_signal import at_limit
from core.tasks.randomness import seed_for
from core.training.data import Batches, Order, is_evaluated, shares, total_steps
from core.training.evaluate import evaluate, predict
from core.training.gradient_checkpointing import checkpointed
from core.training.loss import loss_of
from core.training.optim.adamw import linear_decay
from core.training.setup import Setup
from core.training.tested import Tested
from core.training.trainee import Trainee, copy

# Prefix of the tensors in a checkpoint that are the trainee's own state.
TRAINEE = "trainee/"


@dataclass
class Best:
    """The parameters at the best validation score so far, and its metrics; of equal scores the later one counts.

    `evaluated` is the step of the latest evaluation.
    """

    metrics: dict[str, float] = field(default_factory=dict)
    parameters: list[Tensor] = field(default_factory=list)
    evaluated: int = 0

    @property
    def score(self) -> float:
        """The first of the metrics."""
        return score_of(self.metrics) if self.metrics else -math.inf


def retrain(
    setup: Setup,
    structure: Structure,
    trainee: Trainee,
    checkpointer: Checkpointer,
    reporter: Reporter,
    limit: Limit | None = None,
) -> tuple[dict[str, float], Tested]:
    """Train, and set the trainee to the state with the best validation score; returns its metrics and the test.

    At the step of a limit it raises StoppedError after writing a checkpoint, before the test split is read.
    """
    spec, settings, rows = setup.spec, setup.spec.retrain, len(setup.data.splits["train"])
    total = total_steps(settings, rows)
    order = Order(range(rows), settings.batch_size, spec.seed, settings.gradient_accumulation)
    optimizer = _optimizer(settings, trainee)
    step, best = _start(trainee, optimizer, checkpointer.take("retrain"))
    reporter.phase(Phase("retrain", total), step, best.score)
    with checkpointed(setup.backbone.model, settings.gradient_checkpointing, spec.dropout):
        while True:
            if is_evaluated(settings, step, total) and best.evaluated < step:
                with contextlib.suppress(StoppedError):  # the resumed run evaluates again
                    _evaluate(setup, trainee, step, best, checkpointer, reporter)
            snapshot = partial(_snapshot, step, structure, trainee, optimizer, best)
            is_over = limit is not None and step >= min(limit.steps, total)
            checkpointer.boundary("retrain", step, snapshot, at_edge=step in (0, total) or is_over)
            if is_over:
                raise at_limit(step, total)
            if step == total:
                break
            setup.backbone.model.train()
            torch.manual_seed(process_group.seed(seed_for(spec.seed, "retrain dropout", step)))
            batches = setup.data.batches("train", order.at(step))
            _train_step(settings, spec.dropout, trainee, optimizer, batches, step, total, reporter)
            step += 1
    copy(best.parameters, trainee.parameters)
    reporter.event(Phase("test", 1), phase="test")
    tested = _test(setup, trainee, checkpointer)
    reporter.event(Eval("test", total, "test", tested.metrics, best=True))
    return best.metrics, tested


def _optimizer(settings: RetrainSettings, trainee: Trainee) -> torch.optim.Optimizer:
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(trainee.parameters, settings.learning_rate, weight_decay=settings.weight_decay)
    from transformers.optimization import Adafactor

    optimizer: torch.optim.Optimizer = Adafactor(
        trainee.parameters, settings.learning_rate, weight_decay=settings.weight_decay, scale_parameter=False,
        relative_step=False,
    )  # fmt: skip
    return optimizer


def _start(trainee: Trainee, optimizer: torch.optim.Optimizer, resumed: Snapshot | None) -> tuple[int, Best]:
    """The step and the best state so far; from a checkpoint, the trainee and the optimiser are restored too."""
    if resumed is None:
        return 0, Best()
    parts: dict[str, dict[int, Tensor]] = {"parameter": {}, "best": {}}
    state: dict[int, dict[str, Tensor]] = {}
    own = {}
    for name, tensor in resumed.tensors.items():
        kind, _, number = name.rpartition(".")
        if name.startswith(TRAINEE):
            own[name.removeprefix(TRAINEE)] = tensor
        elif kind in parts:
            parts[kind][int(number)] = tensor
        else:
            state.setdefault(int(number), {})[kind] = tensor
    copy([parts["parameter"][i] for i in range(len(trainee.parameters))], trainee.parameters)
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    trainee.restore(own)
    device = trainee.parameters[0].device
    best = [parts["best"][i].to(device) for i in range(len(parts["best"]))]
    return resumed.step, Best(resumed.facts["metrics"], best, resumed.facts["evaluated"])


def _snapshot(
    step: int, structure: Structure, trainee: Trainee, optimizer: torch.optim.Optimizer, best: Best
) -> Snapshot:
    """The training state that `_start` restores; it includes the structure, so that the search is not repeated."""
    tensors = {f"parameter.{i}": tensor for i, tensor in enumerate(trainee.parameters)}
    tensors |= {f"best.{i}": tensor for i, tensor in enumerate(best.parameters)}
    for i, state in optimizer.state_dict()["state"].items():
        tensors |= {f"{kind}.{i}": torch.as_tensor(value) for kind, value in state.items()}
    tensors |= {f"{TRAINEE}{name}": tensor for name, tensor in trainee.state().items()}
    facts = {"p": structure.p, "selected": structure.selected, "metrics": best.metrics, "evaluated": best.evaluated}
    facts |= trainee.facts()
    return Snapshot("retrain", step, tensors, facts)


def _test(setup: Setup, trainee: Trainee, checkpointer: Checkpointer) -> Tested:
    with trainee.bound():
        size = setup.spec.eval_batch_size
        predicted = predict(setup.backbone, setup.data, "test", size, checkpointer.check, with_probabilities=True)
    return Tested(setup.data.task, [answer for answer, _ in predicted], [shares for _, shares in predicted])


def _evaluate(
    setup: Setup, trainee: Trainee, step: int, best: Best, checkpointer: Checkpointer, reporter: Reporter
) -> None:
    """Score the trainee on the validation split; keep its parameters if the score is the best so far."""
    with trainee.bound():
        size = setup.spec.eval_batch_size
        metrics = evaluate(setup.backbone, setup.data, "validation", size, checkpointer.check)
    is_best = score_of(metrics) >= best.score and trainee.is_complete(step)
    if is_best:
        best.metrics, best.parameters = metrics, [p.detach().clone() for p in trainee.parameters]
    best.evaluated = step
    reporter.event(Eval("retrain", step, "validation", metrics, is_best))


def _train_step(
    settings: RetrainSettings,
    dropout: Dropout,
    trainee: Trainee,
    optimizer: torch.optim.Optimizer,
    batches: Batches,
    step: int,
    total: int,
    reporter: Reporter,
) -> None:
    """One optimiser step with clipping and linear learning rate decay; `step` is 0-based."""
    lr = settings.learning_rate * linear_decay(step, total, settings.warmup_steps)
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.zero_grad(set_to_none=True)
    losses = []
    for batch, share in zip(batches, shares(batches), strict=True):
        with trainee.bound() as backbone:
            losses.append(loss_of(backbone, batch, dropout) * share)
            torch.autograd.backward(losses[-1])
    loss = _together(torch.stack(losses).detach().sum(), trainee)
    norm = torch.nn.utils.clip_grad_norm_(trainee.parameters, settings.clip)
    take_step(trainee, optimizer)
    trainee.stepped(step + 1)
    values = torch.stack([loss.double(), norm.double()]).tolist()
    if not all(map(math.isfinite, values)):
        raise DivergedError(
            f"retraining diverged at step {step + 1}: the loss is {values[0]}", "lower the learning rate"
        )
    reporter.event(Step("retrain", step + 1, values[0], values[1], lr), step=step + 1)


def take_step(trainee: Trainee, optimizer: torch.optim.Optimizer) -> None:
    """One step of the optimiser, in which each weight moves its multiple of that step: w' = w + scale (step(w) - w)."""
    before = {i: trainee.parameters[i].detach().clone() for i in trainee.scales}
    optimizer.step()
    for i, scale in trainee.scales.items():
        copy([torch.lerp(before[i], trainee.parameters[i], scale)], [trainee.parameters[i]])


def _together(loss: Tensor, trainee: Trainee) -> Tensor:
    """Sum the loss and the gradients over all processes; returns the loss."""
    trained = [p for p in trainee.parameters if p.grad is not None]
    loss, *gradients = process_group.summed((loss, *(p.grad for p in trained if p.grad is not None)))
    for parameter, gradient in zip(trained, gradients, strict=True):
        parameter.grad = gradient
    return loss
