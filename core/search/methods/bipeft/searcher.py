"""The BIPEFT searcher: learns gates of positions and of ranks alternately, and prunes the least sensitive positions.

A position k (see `positions`) has an alpha a_k, and a candidate i of a choice has an alpha r_i. With u
uniform, g a Gumbel variable and the temperature t, a draw is, straight through,

    open_k = [ sigmoid((a_k + logit u_k) / t) > 1/2 ],    rank_i = one-hot of argmax of softmax((r + g) / t),

and the gate of candidate i is open_k rank_i. Odd steps of the gates move a, with the best rank for each position; even
ones move r, with the positions as they were drawn. Both see the validation loss at the weights as they are (first
order). At each step the sensitivity of a position is updated from the products of weights and gradients,

    S_k <- 0.85 S_k + 0.15 ( |w g_train|_1 + cos(w g_train, w g_validation) |w g_validation|_1 ) / parameters,

and where the most sensitive positions within the budget have become steady, `pruning` prunes and fixes.
Chang et al. 2024 (arXiv 2410.09079); where this differs from the code published with it is in docs/fidelity.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from core.model.gated import GatedModel
from core.run.selection import Cut
from core.runtime.checkpoint import Snapshot
from core.search.bilevel import StepMetrics
from core.search.gates import EPSILON
from core.search.loop import Best
from core.search.methods.bipeft.positions import Positions
from core.search.methods.bipeft.pruning import is_steady, to_fix, to_prune, within_budget
from core.search.passes import VALIDATION, WEIGHTS, Noise, TrainPasses
from core.search.schedule import learning_rates
from core.tasks.randomness import generator
from core.training.data import search_orders, total_steps
from core.training.optim import adamw
from core.training.optim.registry import State, optimizer_of, restored, tensors_of
from core.training.optim.step_scale import scale_of
from core.training.setup import Setup

# Alphas start at random and this small, so that no two ranks are equally good.
SPREAD = 1e-3
# In the last prunings what is not pruned counts in full, whatever its probability.
LAST = 10


@dataclass(frozen=True)
class Pruned:
    """How far the pruning is: all that it remembers, as tensors.

    `sensitivity`, `gone` and `fixed` (positions); `recent` (steps, positions): the most sensitive within the budget at
    the last steps; `left`: prunings to go. Since the last pruning, `seen` times, the alphas of the ranks (candidates)
    had this `mean` and sum of `squares` of what differed from it, and began as `began`.
    """

    sensitivity: Tensor
    gone: Tensor
    fixed: Tensor
    recent: Tensor
    left: Tensor
    seen: Tensor
    began: Tensor
    mean: Tensor
    squares: Tensor


@dataclass(frozen=True)
class BipeftState:
    """All that a search has learned; `step` steps are done."""

    step: int
    weights: Tensor
    weight_state: State
    binary: Tensor
    binary_moments: adamw.Moments
    ranks: Tensor
    rank_moments: adamw.Moments
    pruned: Pruned


class Bipeft:
    """The search by pruning, as the search phase runs it."""

    def __init__(self, setup: Setup, model: GatedModel, budget: int) -> None:
        self._spec, self._data, self._budget, self._own = setup.spec, setup.data, budget, setup.spec.bipeft
        self.model, self.settings = model, setup.spec.search
        self.cut = Cut(model.parameters, model.choices, budget)
        rows = len(setup.data.splits["train"])
        self.total_steps = total_steps(self.settings, rows // 2)
        self._prune_after = self.total_steps // 10 if self._own.prune_after is None else self._own.prune_after
        self._orders = search_orders(rows, self.settings, setup.spec.seed)
        self._optimizer = optimizer_of(self.settings.optimizer, model.layout, model.device)
        self._scale = scale_of(model, setup.spec.step_scale, self.settings)
        self._positions = Positions(model)
        self._has_ranks = bool(self._positions.several.any())

    def start(self, resumed: Snapshot | None) -> BipeftState:
        """The state before the first step, or that of a checkpoint."""
        fresh = self._fresh()
        if resumed is None:
            return fresh
        t = {name: tensor.to(self.model.device) for name, tensor in resumed.tensors.items()}
        counts = t["counts"].tolist()
        return BipeftState(
            resumed.step, t["weights"], restored(fresh.weight_state, resumed.step, t, "weights"),
            t["binary"], restored(fresh.binary_moments, counts[0], t, "binary"),
            t["ranks"], restored(fresh.rank_moments, counts[1], t, "ranks"),
            Pruned(**{name: t[f"pruned.{name}"] for name in vars(fresh.pruned)}),
        )  # fmt: skip

    def _fresh(self) -> BipeftState:
        device, count, candidates = self.model.device, self._positions.count, len(self.model.placed)
        binary, ranks = (
            (SPREAD * torch.randn(n, generator=generator(self._spec.seed, "bipeft", which))).to(device)
            for which, n in (("binary", count), ("ranks", candidates))
        )
        weights = self.model.initial_weights(self._spec.seed, self._spec.adapter_init == "paper")
        nothing = torch.zeros(count, dtype=torch.bool, device=device)
        pruned = Pruned(
            torch.zeros(count, dtype=torch.float64, device=device), nothing, ~self._positions.several,
            nothing[None][:0], torch.tensor(self._own.pruning_steps), torch.tensor(0),
            torch.zeros_like(ranks), torch.zeros_like(ranks), torch.zeros_like(ranks),
        )  # fmt: skip
        return BipeftState(
            0, weights, self._optimizer.initial(weights), binary, adamw.initial(binary), ranks, adamw.initial(ranks),
            pruned,
        )  # fmt: skip

    def tensors(self, state: BipeftState) -> dict[str, Tensor]:
        """What `start` reads from a checkpoint."""
        counts = torch.tensor([state.binary_moments.step, state.rank_moments.step])
        values = {"weights": state.weights, "binary": state.binary, "ranks": state.ranks, "counts": counts}
        values |= tensors_of(state.weight_state, "weights")
        values |= tensors_of(state.binary_moments, "binary") | tensors_of(state.rank_moments, "ranks")
        return values | {f"pruned.{name}": tensor for name, tensor in vars(state.pruned).items()}

    def rates(self, step: int) -> tuple[float, float]:
        """The learning rates of weights and alphas at this 0-based step."""
        return learning_rates(self.settings, self.total_steps, step)

    def step(self, state: BipeftState) -> tuple[BipeftState, StepMetrics]:
        """Move the gates of one space once, then the weights, then prune where it is time."""
        s, data, step = self.settings, self._data, state.step
        count = len(self.model.placed)
        noise = Noise.draw(self._spec.seed, step, count, False, False, data.device, self._spec.dropout)
        train, validation = (data.batches("train", order.at(step)) for order in self._orders)

        moved, z, alpha_norm, validation_loss, of_validation = self._move_gates(state, validation, noise)
        gates = self._gates(moved, noise.weights, ranks_turn=False)[0]
        passes = TrainPasses(self.model, train, gates[None], noise.masks, (WEIGHTS,))
        loss, gradient, _ = passes.all_gradients(state.weights)
        clipped, norm = adamw.clip(gradient, s.clip)
        weights, weight_state = self._optimizer.update(
            state.weights, clipped, state.weight_state, self.rates(step)[0] * self._scale, s.weight_decay
        )
        pruned = self._prune(moved, state.weights * gradient, state.weights * of_validation)

        after = replace(moved, step=step + 1, weights=weights, weight_state=weight_state, pruned=pruned)
        p, cost = self._p(after), self._positions.costs
        metrics = StepMetrics(
            loss, validation_loss, norm, alpha_norm, self._expected(after).sum(), z.double() @ cost, None, p
        )
        return after, metrics

    def _move_gates(
        self, state: BipeftState, validation: Sequence[dict[str, Tensor]], noise: Noise
    ) -> tuple[BipeftState, Tensor, Tensor, Tensor, Tensor]:
        """The state after a step of one space; the gates, the norm of the alphas' gradient, the validation loss and its
        gradient to the weights."""
        ranks_turn = self._has_ranks and state.step % 2 == 1
        z, alpha = self._gates(state, noise.outer, ranks_turn)
        passes = TrainPasses(self.model, validation, z[None], noise.masks, (VALIDATION,))
        loss, to_weights, to_gates = passes.all_gradients(state.weights)
        (gradient,) = torch.autograd.grad(z, alpha, to_gates[0])
        clipped, norm = adamw.clip(gradient, self.settings.clip)
        moments = state.rank_moments if ranks_turn else state.binary_moments
        new, moments = adamw.update(alpha.detach(), clipped, moments, self.rates(state.step)[1])
        if ranks_turn:
            kept = torch.where(state.pruned.fixed[self._positions.of], state.ranks, new)
            moved = replace(state, ranks=kept, rank_moments=moments)
        else:
            moved = replace(state, binary=new, binary_moments=moments)
        return moved, z.detach(), norm, loss, to_weights

    def _gates(self, state: BipeftState, u: Tensor, ranks_turn: bool) -> tuple[Tensor, Tensor]:
        """A draw of the gates (candidates, fp32) for uniforms u (1 or more, candidates), and the alphas that it has a
        gradient to: of the ranks, or of the positions."""
        t, at = self._temperature(state.step), self._positions
        u = u.double().clamp(EPSILON, 1 - EPSILON)
        alpha = (state.ranks if ranks_turn else state.binary).detach().requires_grad_()
        binary = state.binary if ranks_turn else alpha
        soft = torch.sigmoid((binary.double() + torch.logit(u[0][at.first])) / t)
        opened = (soft > 0.5).double()
        used = (opened if ranks_turn else opened + soft - soft.detach()) * ~state.pruned.gone
        ranks = at.best(state.ranks.double())
        if ranks_turn:
            noisy = alpha.double() - torch.log(-torch.log(u[1]))
            soft = at.softmax(noisy / t)
            drawn = at.best(noisy) + soft - soft.detach()
            ranks = torch.where(state.pruned.fixed[at.of], ranks, drawn)
        return (used[at.of] * ranks).float(), alpha

    def _temperature(self, step: int) -> float:
        own = self._own
        share = min(1.0, step / max(1, self.total_steps - 1))
        return own.temperature + (own.final_temperature - own.temperature) * share

    def _rank_shares(self, state: BipeftState) -> Tensor:
        """The probability (candidates) of each rank: a softmax, or 1 and 0 where it is fixed."""
        at, ranks = self._positions, state.ranks.double()
        return torch.where(state.pruned.fixed[at.of], at.best(ranks), at.softmax(ranks))

    def _p(self, state: BipeftState) -> Tensor:
        """The probability (candidates) that a candidate is open."""
        used = torch.sigmoid(state.binary.double()) * ~state.pruned.gone
        return used[self._positions.of] * self._rank_shares(state)

    def _expected(self, state: BipeftState) -> Tensor:
        """The parameters (positions) that each is expected to train, 0 where it is pruned."""
        at = self._positions
        if int(state.pruned.left) > LAST:
            return at.sums(self._p(state) * at.costs)
        return at.sums(self._rank_shares(state) * at.costs) * ~state.pruned.gone

    def _prune(self, state: BipeftState, of_train: Tensor, of_validation: Tensor) -> Pruned:
        """The pruning after a step with these products of weights and gradients (weights)."""
        at, own, now = self._positions, self._own, state.pruned
        cosines = at.cosines(of_train, of_validation)
        fresh = (at.magnitudes(of_train) + cosines * at.magnitudes(of_validation)) / at.size
        sensitivity = own.smoothing * now.sensitivity + (1 - own.smoothing) * fresh
        now = replace(now, sensitivity=sensitivity, **self._remembered(now, state.ranks))
        if state.step < self._prune_after or not int(now.left):
            return now
        sizes = at.sums(self._rank_shares(state) * at.costs).tolist()
        top = within_budget(sensitivity.tolist(), sizes, now.gone.tolist(), self._budget)
        steady = is_steady(top, now.recent.tolist(), own.window, own.stability)
        recent = torch.cat([now.recent, torch.tensor([top], device=now.recent.device)])[-own.window :]
        now = replace(now, recent=recent)
        return self._pruned_once(replace(state, pruned=now)) if steady else now

    def _remembered(self, now: Pruned, ranks: Tensor) -> dict[str, Tensor]:
        """The mean and the squares of the rank alphas since the last pruning, after one more step (Welford 1962)."""
        seen = now.seen + 1
        off = ranks - now.mean
        mean = now.mean + off / seen
        began = ranks.clone() if int(now.seen) == 0 else now.began
        return {"seen": seen, "mean": mean, "squares": now.squares + off * (ranks - mean), "began": began}

    def _pruned_once(self, state: BipeftState) -> Pruned:
        """One pruning: positions go, and ranks are fixed."""
        at, now = self._positions, state.pruned
        expected = self._expected(state).tolist()
        going = to_prune(now.sensitivity.tolist(), expected, now.gone.tolist(), self._budget, int(now.left))
        gone, left = now.gone.clone(), now.left - 1
        gone[going] = True
        fixed = now.fixed | gone
        if int(now.seen) > 1 or int(left) <= 1:
            spread = (now.squares / (now.seen - 1).clamp_min(1)).sqrt()
            wavering = at.sums(spread) / at.sums(torch.ones_like(spread)) * at.divergence(now.began, state.ranks)
            same = at.sums(at.best(now.began) * at.best(state.ranks))[~fixed]
            share = float(same.mean()) if len(same) else 1.0
            fixed[to_fix(wavering.tolist(), fixed.tolist(), share, int(left))] = True
        again = {"seen": torch.tensor(0), "mean": torch.zeros_like(now.mean), "squares": torch.zeros_like(now.mean)}
        return replace(now, gone=gone, fixed=fixed, left=left, **again)

    def probabilities(self, state: BipeftState) -> list[float]:
        """p of every candidate."""
        p: list[float] = self._p(state).tolist()
        return p

    def order(self, state: BipeftState, p: Sequence[float]) -> list[int]:
        """The positions that are not pruned, the most sensitive first, each by its ranks, the most probable first.

        Where a rank does not fit any more, the largest one that does takes its place.
        """
        at, now, costs = self._positions, state.pruned, self.model.parameters
        sensitivity = now.sensitivity.tolist()
        position, gone = at.of.tolist(), now.gone.tolist()
        order = sorted(range(len(costs)), key=lambda i: (-sensitivity[position[i]], position[i], -p[i], -costs[i]))
        left = [i for i in order if not gone[position[i]]]
        # Where everything that is left is too large, something smaller has to come back.
        return left if any(costs[i] <= self._budget for i in left) else order

    def evaluated_gates(self, p: Sequence[float], selected: Sequence[int]) -> Tensor:
        """The structure that would be cut out now is open."""
        gates = torch.zeros(len(p), device=self.model.device)
        gates[list(selected)] = 1.0
        return gates

    def is_done(self, state: BipeftState, best: Best) -> str:
        """All prunings are done."""
        return "" if self.prunings_left(state) else f"all of the {self._own.pruning_steps} prunings are done"

    def result(self, state: BipeftState, best: Best) -> tuple[tuple[float, ...], tuple[int, ...]]:
        """p, and what is most sensitive within the budget at the end, whatever the scores on the way."""
        p = self.probabilities(state)
        return tuple(p), self.cut.select(p, self.order(state, p))

    def prunings_left(self, state: BipeftState) -> int:
        """The number of prunings that are not done yet."""
        return int(state.pruned.left)

    def first_tensors(self, state: BipeftState, selected: Sequence[int]) -> dict[str, Tensor]:
        """None."""
        return {}
