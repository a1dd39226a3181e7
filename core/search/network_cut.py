"""The phase `cut`: selects the structure by losses of the trained network on a sample of the validation rows."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from core.model.gated import GatedModel
from core.run.errors import DivergedError, StoppedError
from core.run.events import Eval, Phase, Step, score_of
from core.run.selection import Cut
from core.runtime import process_group
from core.runtime.checkpoint import Snapshot
from core.runtime.checkpointer import Checkpointer
from core.runtime.reporter import Reporter
from core.search.cuts import Asking, Trial, opened, perturbation, sampled
from core.tasks.order import drawn
from core.training.evaluate import evaluate
from core.training.loss import exact_loss
from core.training.setup import Setup

# The validation rows, at most, whose mean loss is taken: a perturbation asks for four times as many losses.
ROWS = {"perturbation": 128, "sampled": 512}


@dataclass
class Progress:
    """How far a cut is: p, the step at which the search ended, and the losses so far.

    `evaluated` is the number of losses at the latest evaluation (-1: none yet), `score` the best score.
    """

    p: tuple[float, ...]
    searched: int
    losses: list[float] = field(default_factory=list)
    evaluated: int = -1
    score: float | None = None

    @classmethod
    def of(cls, facts: dict[str, Any]) -> Progress:
        """Restore from the JSON values of a checkpoint."""
        return cls(**facts | {"p": tuple(facts["p"]), "losses": list(facts["losses"])})


def beginning(p: Sequence[float], weights: Tensor, searched: int) -> Snapshot:
    """The state before the first loss of a cut, with the weights of the network after `searched` steps."""
    return Snapshot("cut", 0, {"weights": weights}, vars(Progress(tuple(p), searched)))


class Questions:
    """The trials of a cut, one after the other; what it asks follows from the losses so far.

    `trial` is the next one, None at the end; `changed` is the number of losses at which `order` changed last.
    """

    def __init__(self, asking: Asking, losses: Sequence[float]) -> None:
        self._asking = asking
        self.trial: Trial | None = None
        self.order: list[int] = []
        self.answered = self.changed = 0
        self._advance(partial(next, asking))
        for loss in losses:
            self.answer(loss)

    def answer(self, loss: float) -> None:
        """Give the loss of the trial."""
        self.answered += 1
        self._advance(partial(self._asking.send, loss))

    def _advance(self, ask: Callable[[], Trial]) -> None:
        try:
            self.trial = ask()
            order = self.trial.order
        except StopIteration as end:
            self.trial, order = None, end.value
        if order != self.order:
            self.order, self.changed = order, self.answered


class ValidationLoss:
    """The mean loss of a fixed sample of the validation rows, without dropout; each process computes its part."""

    def __init__(self, setup: Setup, model: GatedModel, weights: Tensor, most: int) -> None:
        self._spec, self._model, self._weights = setup.spec, model, weights
        encoded, size = setup.data.splits["validation"], setup.spec.eval_batch_size
        rows, _ = drawn(len(encoded), most, "cut", setup.spec.seed)
        lengths = encoded.input_ids.lengths
        mine = sorted(process_group.part(rows), key=lambda i: -lengths[i])
        batches = [mine[i : i + size] for i in range(0, len(mine), size)]
        self._batches = [setup.data.batch("validation", batch) for batch in batches]
        self._shares = [encoded.loss_terms(batch) / encoded.loss_terms(rows) for batch in batches]

    @torch.inference_mode()
    def __call__(self, gates: Sequence[float]) -> float:
        """The loss under these gates (candidates); raises DivergedError if it is not finite."""
        self._model.backbone.eval()
        loss = torch.zeros((), dtype=torch.float64, device=self._model.device)
        with self._model.bound(self._weights, torch.tensor(gates, device=self._model.device)) as backbone:
            for batch, share in zip(self._batches, self._shares, strict=True):
                loss = loss + exact_loss(backbone, batch, self._spec.dropout).double() * share
        value = float(process_group.summed((loss,))[0])
        if not math.isfinite(value):
            raise DivergedError(f"the validation loss is {value} in the cut", "lower the learning rates of the search")
        return value


def cut_out(
    setup: Setup, model: GatedModel, rule: Cut, before: Snapshot, checkpointer: Checkpointer, reporter: Reporter
) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Cut the structure out, from `beginning` or from a checkpoint; returns p and the structure."""
    progress, weights = Progress.of(before.facts), before.tensors["weights"].to(model.device)
    questions = Questions(_asking(setup, rule, progress.p), progress.losses)
    loss_under = ValidationLoss(setup, model, weights, ROWS[setup.spec.search.selection])
    told = -1
    checkpointer.stopwatch.enter("cut")
    while True:
        if told != (total := questions.trial.total if questions.trial else questions.answered):
            told = total
            reporter.phase(Phase("cut", total), questions.answered, -math.inf)
        selected = rule.select(progress.p, questions.order)
        if progress.evaluated < questions.changed:
            with contextlib.suppress(StoppedError):  # the resumed run evaluates again
                _evaluate(setup, model, weights, selected, progress, questions, checkpointer, reporter)
        snapshot = partial(_snapshot, weights, progress)
        checkpointer.boundary("cut", questions.answered, snapshot, at_edge=questions.changed == questions.answered)
        if questions.trial is None:
            return progress.p, selected
        loss = loss_under(questions.trial.gates)
        progress.losses.append(loss)
        questions.answer(loss)
        spent = sum(rule.parameters[i] for i in selected)
        event = Step("cut", questions.answered, None, None, None, validation_loss=loss, selected=spent)
        reporter.event(event, step=questions.answered)


def _asking(setup: Setup, rule: Cut, p: Sequence[float]) -> Asking:
    settings = setup.spec.search
    if settings.selection == "sampled":
        return sampled(rule, p, settings.selection_samples, setup.spec.seed)
    return perturbation(rule, p)


def _snapshot(weights: Tensor, progress: Progress) -> Snapshot:
    return Snapshot("cut", len(progress.losses), {"weights": weights}, vars(progress))


def _evaluate(
    setup: Setup,
    model: GatedModel,
    weights: Tensor,
    selected: Sequence[int],
    progress: Progress,
    questions: Questions,
    checkpointer: Checkpointer,
    reporter: Reporter,
) -> None:
    """Report the order of the candidates, and score what is selected now, open, with the shared weights."""
    reporter.all_gates(progress.searched, list(progress.p), questions.order)
    with model.bound(weights, torch.tensor(opened(selected, len(progress.p)), device=model.device)):
        size = setup.spec.eval_batch_size
        metrics = evaluate(setup.backbone, setup.data, "validation", size, checkpointer.check)
    score = score_of(metrics)
    is_best = progress.score is None or score >= progress.score
    progress.score = score if is_best else progress.score
    progress.evaluated = questions.answered
    reporter.event(Eval("cut", questions.answered, "validation", metrics, is_best))
