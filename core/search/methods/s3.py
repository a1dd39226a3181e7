"""The S3 searcher (arXiv 2206.07382): bi-level steps; the result is p at the best evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from core.model.gated import GatedModel
from core.run.selection import Cut, by_p
from core.runtime.checkpoint import Snapshot
from core.search.alternatives import Choices
from core.search.bilevel import Problem, SearchState, StepMetrics, initial_state, one_level_step, search_step
from core.search.gates import stretched
from core.search.loop import Best
from core.search.passes import Noise
from core.training.data import search_orders, total_steps
from core.training.optim import adamw
from core.training.optim.registry import restored, tensors_of
from core.training.optim.step_scale import scale_of
from core.training.setup import Setup


class S3:
    """The S3 search: gates under the budget and weights are learned together (`core.search.bilevel`)."""

    def __init__(self, setup: Setup, model: GatedModel, budget: int) -> None:
        self._spec, self._data = setup.spec, setup.data
        self.model, self.settings = model, setup.spec.search
        rows = len(setup.data.splits["train"])
        self.total_steps = total_steps(self.settings, rows // 2 if self.settings.bilevel else rows)
        self._orders = search_orders(rows, self.settings, setup.spec.seed)
        costs = torch.tensor(model.parameters, device=model.device)
        scale = scale_of(model, setup.spec.step_scale, self.settings)
        choices = Choices.of(model.choices, model.device)
        self._problem = Problem(model, costs, budget, self.settings, self.total_steps, choices, scale)
        self.cut = Cut(model.parameters, model.choices, budget, by_p(self.settings.selection))

    def start(self, resumed: Snapshot | None) -> SearchState:
        """The state before the first step, or that of a checkpoint."""
        if resumed is None:
            weights = self.model.initial_weights(self._spec.seed, self._spec.adapter_init == "paper")
            return initial_state(self._problem, weights)
        t = {name: tensor.to(self.model.device) for name, tensor in resumed.tensors.items()}
        of_weights = restored(self._problem.optimizer.initial(t["weights"]), resumed.step, t, "weights")
        of_alpha = restored(adamw.initial(t["alpha"]), resumed.step, t, "alpha")
        return SearchState(resumed.step, t["weights"], of_weights, t["alpha"], of_alpha)

    def tensors(self, state: SearchState) -> dict[str, Tensor]:
        """What `start` reads from a checkpoint."""
        states = tensors_of(state.weight_state, "weights") | tensors_of(state.alpha_moments, "alpha")
        return {"weights": state.weights, "alpha": state.alpha} | states

    def step(self, state: SearchState) -> tuple[SearchState, StepMetrics]:
        """One step with the batches and the noise of its number."""
        s, data, step = self.settings, self._data, state.step
        count = len(self.model.placed)
        noise = Noise.draw(
            self._spec.seed, step, count, s.shared_gates, s.shared_dropout, data.device, self._spec.dropout
        )
        train = data.batches("train", self._orders[0].at(step))
        if not s.bilevel:
            return one_level_step(self._problem, state, train, noise)
        return search_step(self._problem, state, train, data.batches("train", self._orders[1].at(step)), noise)

    def rates(self, step: int) -> tuple[float, float]:
        """The learning rates of weights and alphas at this 0-based step."""
        return self._problem.rates(step)

    def probabilities(self, state: SearchState) -> list[float]:
        """p of every candidate, under the budget itself."""
        p: list[float] = torch.sigmoid(self._problem.final_logits(state.alpha, state.step)).tolist()
        return p

    def order(self, state: SearchState, p: Sequence[float]) -> None:
        """None: p decides."""

    def evaluated_gates(self, p: Sequence[float], selected: Sequence[int]) -> Tensor:
        """Soft gates at their probabilities; with hard ones, the structure that would be cut out now is open."""
        settings = self.settings
        gates = torch.tensor(p, device=self.model.device)
        if settings.gates == "soft":
            return stretched(gates, settings.stretch_low, settings.stretch_high)
        gates = torch.zeros_like(gates)
        gates[list(selected)] = 1.0
        return gates

    def is_done(self, state: SearchState, best: Best) -> str:
        """The structure that evaluations find has not changed for as long as `patience` says."""
        patience = self.settings.patience
        if patience is None or best.unchanged < patience:
            return ""
        return f"the structure stayed the same in {best.unchanged} evaluations"

    def result(self, state: SearchState, best: Best) -> tuple[tuple[float, ...], tuple[int, ...]]:
        """p at the best evaluation, and what it makes within the budget."""
        return best.p, self.cut.select(best.p)

    def prunings_left(self, state: SearchState) -> None:
        """It does not prune."""

    def first_tensors(self, state: SearchState, selected: Sequence[int]) -> dict[str, Tensor]:
        """None."""
        return {}
