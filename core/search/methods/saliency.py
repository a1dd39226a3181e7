"""One-shot saliency: candidates are scored by the gradients of a few batches, and a knapsack cuts the structure.

If the model has a new head, the first steps train that alone, as gradients through a random head are mostly noise.
Each further step takes the gradients of one batch at the weights with which deltas start, where they have no effect
yet. `core.search.scores` has the two criteria. p is the score relative to the largest one. It is computed anew a few
times while batches are taken, as that costs about as much as a batch.

The saliency of what is still to be trained is that of SNIP (Lee et al. 2019, arXiv 1810.02340) and, with squares, of
FISH masks (Sung et al. 2021, arXiv 2111.09839); a LoRA that starts with directions of its gradient is that of LoRA-GA
(Wang et al. 2024, arXiv 2407.05000).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from core.model.gated import GatedModel
from core.run.selection import Cut
from core.runtime import process_group
from core.runtime.checkpoint import Snapshot
from core.search.bilevel import StepMetrics
from core.search.loop import Best
from core.search.passes import WEIGHTS, Masks, TrainPasses
from core.search.scores import Parts, Reach, opened, widest
from core.search.sketch import Balanced, Pairs, Probe, Reading, recorded
from core.tasks.randomness import seed_for
from core.training.data import Order
from core.training.optim import adamw
from core.training.optim.registry import restored, tensors_of
from core.training.optim.step_scale import head_scale
from core.training.setup import Setup

# How often p is computed while batches are taken.
UPDATES = 4
# Rows that are kept of what each low-rank map reads, from all batches together.
ROWS = 64
# The prefix of sketches in a checkpoint.
SKETCH = "sketch/"


@dataclass(frozen=True)
class SaliencyState:
    """All that the search has seen; `step` steps are done.

    `weights` are those at the start, with the head as trained so far. `sums` (weights) are the gradients of all
    batches, or their squares, added up, and `sketches` what is kept of each reading, by name, added up. `p` (candidates)
    are the relative scores when they were computed last.
    """

    step: int
    weights: Tensor
    head_moments: adamw.Moments
    sums: Tensor
    sketches: Mapping[str, Tensor]
    p: Tensor


class Saliency:
    """The scoring of candidates, as the search phase runs it."""

    def __init__(self, setup: Setup, model: GatedModel, budget: int) -> None:
        self._spec, self._data, self._own = setup.spec, setup.data, setup.spec.saliency
        self.model, self.settings = model, setup.spec.search
        self._head = GatedModel(setup.backbone.model, [], setup.backbone.head)
        self._of_head = model.of_head()
        self._head_steps = self._own.head_steps if setup.backbone.head else 0
        self.total_steps = self._head_steps + self._own.batches
        self.cut = Cut(model.parameters, model.choices, budget, "knapsack")
        rows = range(len(setup.data.splits["train"]))
        s = self.settings
        self._order = Order(rows, s.batch_size, setup.spec.seed, s.gradient_accumulation)
        self._parts, self._reaches = Parts(model), Reach.all_of(model.placed)
        self._probes = {
            reading: Probe.draw(setup.spec.seed, str(reading), reach.shape, reach.rank, model.device)
            for reading, reach in widest(self._reaches).items()
        }

    def start(self, resumed: Snapshot | None) -> SaliencyState:
        """The state before the first step, or that of a checkpoint."""
        weights = self.model.initial_weights(self._spec.seed)
        moments = adamw.initial(weights[self._of_head])
        if resumed is None:
            none = torch.zeros(len(self.model.placed), dtype=torch.float64, device=self.model.device)
            return SaliencyState(0, weights, moments, torch.zeros_like(weights), {}, none)
        t = {name: tensor.to(self.model.device) for name, tensor in resumed.tensors.items()}
        moments = restored(moments, min(resumed.step, self._head_steps), t, "head")
        sketches = {name.removeprefix(SKETCH): tensor for name, tensor in t.items() if name.startswith(SKETCH)}
        return SaliencyState(resumed.step, t["weights"], moments, t["sums"], sketches, t["p"])

    def tensors(self, state: SaliencyState) -> dict[str, Tensor]:
        """What `start` reads from a checkpoint."""
        sketches = {SKETCH + name: tensor for name, tensor in state.sketches.items()}
        own = {"weights": state.weights, "sums": state.sums, "p": state.p}
        return own | tensors_of(state.head_moments, "head") | sketches

    def rates(self, step: int) -> tuple[float, float]:
        """The learning rate of the head at this 0-based step, and none for alphas."""
        if step >= self._head_steps:
            return 0.0, 0.0
        rate = self.settings.learning_rate * head_scale(self.settings)
        return rate * adamw.linear_decay(step, self._head_steps, self.settings.warmup_steps), 0.0

    def step(self, state: SaliencyState) -> tuple[SaliencyState, StepMetrics]:
        """Train the head once, or take the gradients of one batch."""
        return self._train_head(state) if state.step < self._head_steps else self._take_gradients(state)

    def _passes(self, model: GatedModel, step: int, gates: Tensor) -> TrainPasses:
        masks = Masks([seed_for(self._spec.seed, "dropout", step, WEIGHTS)] * (WEIGHTS + 1), self._spec.dropout)
        batches = self._data.batches("train", self._order.at(step))
        return TrainPasses(model, batches, gates[None], masks, (WEIGHTS,))

    def _train_head(self, state: SaliencyState) -> tuple[SaliencyState, StepMetrics]:
        """A step of AdamW of the head alone: the backward pass ends there."""
        head, s = state.weights[self._of_head], self.settings
        none = torch.zeros(0, device=self.model.device)
        loss, gradient = self._passes(self._head, state.step, none).weights_gradient(head)
        clipped, norm = adamw.clip(gradient, s.clip)
        moved, moments = adamw.update(head, clipped, state.head_moments, self.rates(state.step)[0], s.weight_decay)
        weights = state.weights.clone()
        weights[self._of_head] = moved
        after = replace(state, step=state.step + 1, weights=weights, head_moments=moments)
        return after, self._metrics(after, loss, norm)

    def _take_gradients(self, state: SaliencyState) -> tuple[SaliencyState, StepMetrics]:
        """Add the gradients of one batch to the sums."""
        passes = self._passes(self.model, state.step, opened(self.model))
        with recorded(self.model.backbone, list(self._probes)) as pairs:
            loss, gradient = passes.weights_gradient(state.weights)
        sums = state.sums + (gradient if self._of_mean else gradient.square())
        fresh = self._sketched(pairs, state.step)
        sketches = {name: state.sketches[name] + new if state.sketches else new for name, new in fresh.items()}
        after = replace(state, step=state.step + 1, sums=sums, sketches=sketches)
        if self._is_update(after.step - self._head_steps):
            after = replace(after, p=self._p(after))
        return after, self._metrics(after, loss, gradient.norm())

    @property
    def _of_mean(self) -> bool:
        return self._own.criterion == "taylor"

    def _is_update(self, batches: int) -> bool:
        """Whether p is computed after so many batches: after the last one, and at even distances before."""
        total = self._own.batches
        return batches * UPDATES // total > (batches - 1) * UPDATES // total

    def _sketched(self, pairs: Mapping[Reading, Pairs], step: int) -> dict[str, Tensor]:
        """The sketches of this batch's gradients, or of their products G^T G, summed over the processes, and rows."""
        probes = self._probes
        y = {reading: probe.of_inputs(pairs[reading]) for reading, probe in probes.items()}
        found = {f"{reading}/x": self._rows(reading, pairs[reading], step) for reading in probes}
        if self._of_mean:
            found |= {f"{reading}/y": tensor for reading, tensor in y.items()}
            found |= {f"{reading}/z": probe.of_outputs(pairs[reading]) for reading, probe in probes.items()}
        else:
            y = dict(zip(y, process_group.summed(tuple(y.values())), strict=True))
            found |= {f"{reading}/n": probe.gram(pairs[reading], y[reading]) for reading, probe in probes.items()}
        return dict(zip(found, process_group.summed(tuple(found.values())), strict=True)) if found else {}

    def _rows(self, reading: Reading, pairs: Pairs, step: int) -> Tensor:
        """Rows of this batch in their places among those of all batches and processes, which add up."""
        each = math.ceil(ROWS / self._own.batches / process_group.count())
        seed = process_group.seed(seed_for(self._spec.seed, "rows", step))
        mine = self._probes[reading].sample(pairs, each, seed)
        places = mine.new_zeros(self._own.batches, process_group.count(), *mine.shape)
        places[step - self._head_steps, process_group.rank()] = mine
        return places.flatten(0, 2)

    def _metrics(self, after: SaliencyState, loss: Tensor, norm: Tensor) -> StepMetrics:
        return StepMetrics(loss, None, norm, None, None, None, None, after.p)

    def scores(self, state: SaliencyState) -> Tensor:
        """The scores (candidates, fp64); zero before the first batch."""
        batches = max(1, state.step - self._head_steps)
        of_parts = self._parts.taylor if self._of_mean else self._parts.fisher
        scores = of_parts(state.sums / batches)
        for reading in self._probes if state.sketches else ():
            best, moved = self._directions(reading, state.sketches, batches)
            for reach in (reach for reach in self._reaches if reach.reading == reading):
                scores[reach.number] += reach.taylor(moved) if self._of_mean else reach.fisher(best.size)
        return scores

    def _directions(self, reading: Reading, sketches: Mapping[str, Tensor], batches: int) -> tuple[Balanced, Tensor]:
        """The balanced directions of what is read, and G A^T of the mean gradient (empty for `fisher`)."""
        probe, x = self._probes[reading], sketches[f"{reading}/x"]
        if self._of_mean:
            values, left, right = probe.directions(sketches[f"{reading}/y"], sketches[f"{reading}/z"])
            best = Balanced.of(values / batches, right, x)
            return best, left @ best.turn * best.size
        squares, right = probe.squares(sketches[f"{reading}/n"])
        best = Balanced.of((squares / batches).sqrt(), right, x)
        return best, best.size.new_zeros(0)

    def _p(self, state: SaliencyState) -> Tensor:
        scores = self.scores(state)
        return scores / scores.max().clamp_min(1e-300)

    def probabilities(self, state: SaliencyState) -> list[float]:
        """The score of every candidate as a share of the largest one."""
        p: list[float] = state.p.tolist()
        return p

    def order(self, state: SaliencyState, p: Sequence[float]) -> list[int]:
        """What a knapsack takes, then the rest, each by the score per parameter; nothing before there are scores."""
        if not any(p):
            return []
        taken, costs = set(self.cut.select(p)), self.cut.parameters
        return sorted(range(len(p)), key=lambda i: (i not in taken, -p[i] / costs[i]))

    def evaluated_gates(self, p: Sequence[float], selected: Sequence[int]) -> Tensor:
        """All closed: no delta has been trained."""
        return torch.zeros(len(p), device=self.model.device)

    def is_done(self, state: SaliencyState, best: Best) -> str:
        """Never before the last batch."""
        return ""

    def result(self, state: SaliencyState, best: Best) -> tuple[tuple[float, ...], tuple[int, ...]]:
        """The relative scores, and the structure with the largest sum of them within the budget."""
        p = self.probabilities(state)
        return tuple(p), self.cut.select(p, self.order(state, p))

    def first_tensors(self, state: SaliencyState, selected: Sequence[int]) -> dict[str, Tensor]:
        """A of each selected LoRA, with the directions by which it was scored."""
        if self._own.lora_start == "random":
            return {}
        batches, chosen = self._own.batches, set(selected)
        return {
            reach.start: reach.first(self._directions(reach.reading, state.sketches, batches)[0].rows)
            for reach in self._reaches
            if reach.start and reach.number in chosen
        }
