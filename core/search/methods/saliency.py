"""One-shot saliency: candidates are scored by the gradients of a few batches, and a knapsack cuts the structure.

If the model has a new head, the first steps train that alone, as gradients through a random head are mostly noise.
Each further step takes the gradients of one batch at the weights with which deltas start, where they have no effect
yet. `core.search.scores` has the two criteria. p is the score relative to the largest one.

The saliency of what is still to be trained is that of SNIP (Lee et al. 2019, arXiv 1810.02340) and, with squares, of
FISH masks (Sung et al. 2021, arXiv 2111.09839); the best directions of a LoRA are those of LoRA-GA (Wang et al. 2024,
arXiv 2407.05000).
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
from core.search.scores import Direction, Parts, opened
from core.search.sketch import Pairs, Probe, recorded
from core.tasks.randomness import seed_for
from core.training.data import Order
from core.training.optim import adamw
from core.training.optim.registry import restored, tensors_of
from core.training.optim.step_scale import head_scale
from core.training.setup import Setup


@dataclass(frozen=True)
class SaliencyState:
    """All that the search has seen; `step` steps are done.

    `weights` are those at the start, with the head as trained so far. `sums` (weights) are the gradients of all
    batches, or their squares, added up, and `sketches` those of the gradients to the layers with LoRAs, by name.
    """

    step: int
    weights: Tensor
    head_moments: adamw.Moments
    sums: Tensor
    sketches: Mapping[str, Tensor]


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
        self._parts, self._directions = Parts(model), Direction.all_of(model.placed)
        self._probes = self._draw_probes()

    def _draw_probes(self) -> dict[str, Probe]:
        """The random matrices by which the gradients of each layer with LoRAs are kept."""
        probes: dict[str, Probe] = {}
        for one in sorted(self._directions, key=lambda one: one.rank):  # the largest rank of a layer comes last
            probes[one.module] = Probe.draw(self._spec.seed, one.module, one.shape, one.rank, self.model.device)
        return probes

    def start(self, resumed: Snapshot | None) -> SaliencyState:
        """The state before the first step, or that of a checkpoint."""
        weights = self.model.initial_weights(self._spec.seed)
        moments = adamw.initial(weights[self._of_head])
        if resumed is None:
            return SaliencyState(0, weights, moments, torch.zeros_like(weights), {})
        t = {name: tensor.to(self.model.device) for name, tensor in resumed.tensors.items()}
        moments = restored(moments, min(resumed.step, self._head_steps), t, "head")
        sketches = {name.removeprefix(SKETCH): tensor for name, tensor in t.items() if name.startswith(SKETCH)}
        return SaliencyState(resumed.step, t["weights"], moments, t["sums"], sketches)

    def tensors(self, state: SaliencyState) -> dict[str, Tensor]:
        """What `start` reads from a checkpoint."""
        sketches = {SKETCH + name: tensor for name, tensor in state.sketches.items()}
        return {"weights": state.weights, "sums": state.sums} | tensors_of(state.head_moments, "head") | sketches

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
        is_mean = self._own.criterion == "taylor"
        sums = state.sums + (gradient if is_mean else gradient.square())
        fresh = self._sketched(pairs, is_mean)
        sketches = {name: state.sketches[name] + new if state.sketches else new for name, new in fresh.items()}
        after = replace(state, step=state.step + 1, sums=sums, sketches=sketches)
        return after, self._metrics(after, loss, gradient.norm())

    def _sketched(self, pairs: Mapping[str, Pairs], is_mean: bool) -> dict[str, Tensor]:
        """The sketches of this batch's gradients, or of their products G^T G, summed over the processes."""
        probes = self._probes
        y = {path: probe.of_inputs(pairs[path]) for path, probe in probes.items()}
        if is_mean:
            z = {path: probe.of_outputs(pairs[path]) for path, probe in probes.items()}
            return _summed({f"{path}/y": t for path, t in y.items()} | {f"{path}/z": t for path, t in z.items()})
        y = _summed(y)
        return _summed({f"{path}/n": probe.gram(pairs[path], y[path]) for path, probe in probes.items()})

    def _metrics(self, after: SaliencyState, loss: Tensor, norm: Tensor) -> StepMetrics:
        return StepMetrics(loss, None, norm, None, None, None, None, self._p(after))

    def scores(self, state: SaliencyState) -> Tensor:
        """The scores (candidates, fp64); zero before the first batch."""
        batches = max(1, state.step - self._head_steps)
        parts, sketches = self._parts, {name: t / batches for name, t in state.sketches.items()}
        if self._own.criterion == "taylor":
            scores = parts.taylor(state.sums / batches)
            found = {
                m: p.directions(sketches[f"{m}/y"], sketches[f"{m}/z"]) for m, p in self._probes.items() if sketches
            }
            best = {one.number: one.taylor(*found[one.module]) for one in self._directions if found}
        else:
            scores = parts.fisher(state.sums / batches)
            squares = {m: p.squares(sketches[f"{m}/n"]) for m, p in self._probes.items() if sketches}
            best = {one.number: one.fisher(squares[one.module]) for one in self._directions if squares}
        if best:
            scores[list(best)] = torch.stack(list(best.values()))
        return scores

    def _p(self, state: SaliencyState) -> Tensor:
        scores = self.scores(state)
        return scores / scores.max().clamp_min(1e-300)

    def probabilities(self, state: SaliencyState) -> list[float]:
        """The score of every candidate as a share of the largest one."""
        p: list[float] = self._p(state).tolist()
        return p

    def order(self, state: SaliencyState, p: Sequence[float]) -> list[int]:
        """What a knapsack takes, then the rest, each by the score per parameter; nothing before the first batch."""
        if state.step <= self._head_steps:
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


# The prefix of sketches in a checkpoint.
SKETCH = "sketch/"


def _summed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each tensor summed over all processes."""
    return dict(zip(tensors, process_group.summed(tuple(tensors.values())), strict=True)) if tensors else {}
