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


def beginning(p: Sequence[float], tensors: dict[str, Tensor], searched: int) -> Snapshot:
    """The state before the first loss of a cut, with the tensors of the search after its `searched` steps."""
    return Snapshot("cut", 0, tensors, vars(Progress(tuple(p), searched)))


def end_of_search(cut: Snapshot) -> Snapshot:
    """The state of the search before a cut, from a checkpoint of the cut."""
    return Snapshot("search", cut.facts["searched"], cut.tensors, {})


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


class NetworkCut:
    """A cut with these weights of the network, from `beginning` or from a checkpoint."""

    def __init__(
        self,
        setup: Setup,
        model: GatedModel,
        rule: Cut,
        weights: Tensor,
        before: Snapshot,
        checkpointer: Checkpointer,
        reporter: Reporter,
    ) -> None:
        self._setup, self._model, self._rule = setup, model, rule
        self._checkpointer, self._reporter = checkpointer, reporter
        self._progress, self._weights, self._tensors = Progress.of(before.facts), weights, before.tensors
        self._questions = Questions(_asking(setup, rule, self._progress.p), self._progress.losses)
        self._loss = ValidationLoss(setup, model, weights, ROWS[setup.spec.search.selection])
        self._total = -1  # trials, as told by the last event

    def run(self) -> tuple[tuple[float, ...], tuple[int, ...]]:
        """Ask until the structure is known; returns p and the structure."""
        questions, progress = self._questions, self._progress
        self._checkpointer.stopwatch.enter("cut")
        while True:
            self._tell_total()
            if progress.evaluated < questions.changed:
                with contextlib.suppress(StoppedError):  # the resumed run evaluates again
                    self._evaluate()
            at_edge = questions.changed == questions.answered
            self._checkpointer.boundary("cut", questions.answered, self._snapshot, at_edge)
            if questions.trial is None:
                return progress.p, self._selected
            self._ask(questions.trial)

    def _ask(self, trial: Trial) -> None:
        loss = self._loss(trial.gates)
        self._progress.losses.append(loss)
        self._questions.answer(loss)
        step, spent = self._questions.answered, sum(self._rule.parameters[i] for i in self._selected)
        self._reporter.event(Step("cut", step, None, None, None, validation_loss=loss, selected=spent), step=step)

    @property
    def _selected(self) -> tuple[int, ...]:
        """The structure that would be selected now."""
        return self._rule.select(self._progress.p, self._questions.order)

    def _tell_total(self) -> None:
        """Write the number of trials, where it has become another."""
        done, trial = self._questions.answered, self._questions.trial
        total = done if trial is None else trial.total
        if total != self._total:
            self._total = total
            self._reporter.phase(Phase("cut", total), done, -math.inf)

    def _snapshot(self) -> Snapshot:
        return Snapshot("cut", self._questions.answered, self._tensors, vars(self._progress))

    def _evaluate(self) -> None:
        """Report the order of the candidates, and score what would be selected now, open, with the shared weights."""
        progress, setup, model = self._progress, self._setup, self._model
        self._reporter.all_gates(progress.searched, list(progress.p), self._questions.order)
        gates = torch.tensor(opened(self._selected, len(progress.p)), device=model.device)
        with model.bound(self._weights, gates):
            size = setup.spec.eval_batch_size
            metrics = evaluate(setup.backbone, setup.data, "validation", size, self._checkpointer.check)
        score = score_of(metrics)
        is_best = progress.score is None or score >= progress.score
        progress.score = score if is_best else progress.score
        progress.evaluated = self._questions.answered
        self._reporter.event(Eval("cut", progress.evaluated, "validation", metrics, is_best))


def _asking(setup: Setup, rule: Cut, p: Sequence[float]) -> Asking:
    settings = setup.spec.search
    if settings.selection == "sampled":
        return sampled(rule, p, settings.selection_samples, setup.spec.seed)
    return perturbation(rule, p)
