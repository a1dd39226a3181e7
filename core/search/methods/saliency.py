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
from core.search.sketch import Moments, Pairs, Reading, balanced, basis, probe, probed, recorded
from core.tasks.randomness import seed_for
from core.training.data import Order
from core.training.optim import adamw
from core.training.optim.registry import restored, tensors_of
from core.training.optim.step_scale import head_scale
from core.training.setup import Setup

# How often p is computed while batches are taken.
UPDATES = 4
# The prefixes of bases and of sums in a checkpoint.
BASIS, SUM = "basis/", "sum/"


@dataclass(frozen=True)
class SaliencyState:
    """All that the search has seen; `step` steps are done.

    `weights` are those at the start, with the head as trained so far. `bases` has what low-rank maps may read, by
    reading, once it is known. `sums` are those over batches, by name. `p` (candidates) are the relative scores when
    they were computed last.
    """

    step: int
    weights: Tensor
    head_moments: adamw.Moments
    bases: Mapping[str, Tensor]
    sums: Mapping[str, Tensor]
    p: Tensor


class Saliency:
    """The scoring of candidates, as the search phase runs it."""

    def __init__(self, setup: Setup, model: GatedModel, budget: int) -> None:
        self._spec, self._data, self._own = setup.spec, setup.data, setup.spec.saliency
        self.model, self.settings = model, setup.spec.search
        self._head = GatedModel(setup.backbone.model, [], setup.backbone.head)
        self._of_head = model.of_head()
        self._head_steps = self._own.head_steps if setup.backbone.head else 0
        self._first_scored = self._head_steps + self._own.direction_batches
        self.total_steps = self._first_scored + self._own.batches
        self.cut = Cut(model.parameters, model.choices, budget, "knapsack")
        rows = range(len(setup.data.splits["train"]))
        s = self.settings
        self._order = Order(rows, s.batch_size, setup.spec.seed, s.gradient_accumulation)
        self._parts, self._reaches = Parts(model), Reach.all_of(model.placed)
        self._widest = widest(self._reaches)

    def start(self, resumed: Snapshot | None) -> SaliencyState:
        """The state before the first step, or that of a checkpoint."""
        weights = self.model.initial_weights(self._spec.seed)
        moments = adamw.initial(weights[self._of_head])
        if resumed is None:
            none = torch.zeros(len(self.model.placed), dtype=torch.float64, device=self.model.device)
            return SaliencyState(0, weights, moments, {}, {}, none)
        t = {name: tensor.to(self.model.device) for name, tensor in resumed.tensors.items()}
        moments = restored(moments, min(resumed.step, self._head_steps), t, "head")
        bases, sums = (
            {name.removeprefix(prefix): tensor for name, tensor in t.items() if name.startswith(prefix)}
            for prefix in (BASIS, SUM)
        )
        return SaliencyState(resumed.step, t["weights"], moments, bases, sums, t["p"])

    def tensors(self, state: SaliencyState) -> dict[str, Tensor]:
        """What `start` reads from a checkpoint."""
        named = {"weights": state.weights, "p": state.p} | tensors_of(state.head_moments, "head")
        named |= {BASIS + name: tensor for name, tensor in state.bases.items()}
        return named | {SUM + name: tensor for name, tensor in state.sums.items()}

    def rates(self, step: int) -> tuple[float, float]:
        """The learning rate of the head at this 0-based step, and none for alphas."""
        if step >= self._head_steps:
            return 0.0, 0.0
        rate = self.settings.learning_rate * head_scale(self.settings)
        return rate * adamw.linear_decay(step, self._head_steps, self.settings.warmup_steps), 0.0

    def step(self, state: SaliencyState) -> tuple[SaliencyState, StepMetrics]:
        """Train the head once, or take the gradients of one batch: first for directions, then for scores."""
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
        """Add up what the gradients of one batch have to say."""
        passes = self._passes(self.model, state.step, opened(self.model))
        with recorded(self.model.backbone, list(self._widest)) as pairs:
            loss, gradient = passes.weights_gradient(state.weights)
        is_scored = state.step >= self._first_scored
        fresh = self._moments(state.bases, gradient, pairs) if is_scored else self._probed(pairs)
        sums = {name: state.sums.get(name, 0) + new for name, new in fresh.items()}
        after = replace(state, step=state.step + 1, sums=sums)
        if after.step == self._first_scored:
            after = replace(after, bases={name: basis(found) for name, found in sums.items()}, sums={})
        if is_scored and self._is_update(after.step - self._first_scored):
            after = replace(after, p=self._p(after))
        return after, self._metrics(after, loss, gradient.norm())

    def _is_update(self, batches: int) -> bool:
        """Whether p is computed after so many batches: after the last one, and at even distances before."""
        total = self._own.batches
        return batches * UPDATES // total > (batches - 1) * UPDATES // total

    def _probed(self, pairs: Mapping[Reading, Pairs]) -> dict[str, Tensor]:
        """What G reads, seen through a random matrix, for each reading."""
        found = {}
        for reading, reach in self._widest.items():
            left = probe(self._spec.seed, reading, reach.shape, reach.rank).to(self.model.device)
            found[str(reading)] = probed(left, reach.shape[1], pairs[reading])
        return _summed(found)

    def _moments(
        self, bases: Mapping[str, Tensor], gradient: Tensor, pairs: Mapping[Reading, Pairs]
    ) -> dict[str, Tensor]:
        """The gradient to all weights and its squares, and what low-rank maps would do within their bases."""
        found: dict[str, Tensor] = {}
        for reading, reach in self._widest.items():
            moments = Moments.of(bases[str(reading)], reach.shape[0], pairs[reading])
            found |= {f"{reading}/{name}": tensor for name, tensor in vars(moments).items()}
        found = _summed(found)
        for reading in self._widest:
            moved = found[f"{reading}/moved"]
            found[f"{reading}/squares"] = moved.t() @ moved
        return found | {"gradient": gradient, "squares": gradient.square()}

    def _metrics(self, after: SaliencyState, loss: Tensor, norm: Tensor) -> StepMetrics:
        return StepMetrics(loss, None, norm, None, None, None, None, after.p)

    def scores(self, state: SaliencyState) -> Tensor:
        """The scores (candidates, fp64), after a scored batch."""
        batches, is_taylor = state.step - self._first_scored, self._own.criterion == "taylor"
        mean = {name: tensor / batches for name, tensor in state.sums.items()}
        scores = self._parts.taylor(mean["gradient"]) if is_taylor else self._parts.fisher(mean["squares"])
        for reading in self._widest:
            columns, squares = self._directions(reading, mean)
            moved = mean[f"{reading}/moved"].double() @ columns
            for reach in (reach for reach in self._reaches if reach.reading == reading):
                scores[reach.number] += reach.taylor(moved) if is_taylor else reach.fisher(squares)
        return scores

    def _directions(self, reading: Reading, mean: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The balanced directions within the basis of a reading, and their squares (`balanced`), from means."""
        moved, squares = mean[f"{reading}/moved"], mean[f"{reading}/squares"]
        if self._own.criterion == "taylor":
            squares = moved.t() @ moved
        return balanced(squares, mean[f"{reading}/second"] / mean[f"{reading}/tokens"].clamp_min(1e-9))

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

    def prunings_left(self, state: SaliencyState) -> None:
        """It does not prune."""

    def first_tensors(self, state: SaliencyState, selected: Sequence[int]) -> dict[str, Tensor]:
        """A of each selected LoRA, with the directions by which it was scored."""
        if self._own.lora_start != "gradient":
            return {}
        mean = {name: tensor / self._own.batches for name, tensor in state.sums.items()}
        found = {}
        for reach in (reach for reach in self._reaches if reach.start and reach.number in set(selected)):
            columns, _ = self._directions(reach.reading, mean)
            found[reach.start] = reach.first((state.bases[str(reach.reading)].double() @ columns).t()).float()
        return found


def _summed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each tensor summed over all processes."""
    return dict(zip(tensors, process_group.summed(tuple(tensors.values())), strict=True)) if tensors else {}
