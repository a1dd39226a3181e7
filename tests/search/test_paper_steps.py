"""Three whole search steps of the paper's own code, reproduced with the preset `paper`."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
import transformers
from safetensors.torch import load_file
from support import DATA, loss_under, space

from core.model.gated import GatedModel
from core.model.space import place
from core.run.spec import RunSpec
from core.search.bilevel import Problem, SearchState, StepMetrics, initial_state, outer_gradient, search_step
from core.search.gates import sample
from core.search.passes import VALIDATION, VIRTUAL, Masks, Noise, TrainPasses
from core.training.optim import adamw

META = json.loads((DATA / "steps-t5-tiny.json").read_text())
TENSORS = load_file(DATA / "steps-t5-tiny.safetensors")
PARTS = (("left", "W_left"), ("right", "W_right"), ("bias", "b"))
# Our names of deltas and of their tensors, to the original's.
NAMES = {
    "lora(rank=1)": ("Lora", {"lora_A": "lora_A", "lora_B": "lora_B"}),
    "bitfit": ("BitFitParallel", {"bias": "bias"}),
    "lnfit": ("LNFit", {"weight": "weight"}),
    "low-rank-adapter": (
        "LowRankAdapter",
        {f"{a}.{b}": f"{a}_sampler.{c}" for a in ("down", "up") for b, c in PARTS},
    ),
}  # fmt: skip


def vector(model: GatedModel, prefix: str) -> torch.Tensor:
    """The original's delta tensors under a prefix, as our vector."""
    tensors = {}
    for name in model.named(torch.zeros(model.layout.size)):
        module, delta, tensor = name.split("/")
        theirs, inner = NAMES[delta]
        tensors[name] = TENSORS[f"{prefix}/{module}/{theirs}/{inner[tensor]}"]
    return model.from_named(tensors)


def batch(step: int, which: str) -> dict[str, torch.Tensor]:
    return {key: TENSORS[f"step{step}/{which}/{key}"] for key in ("input_ids", "attention_mask", "labels")}


def noise(step: int) -> Noise:
    return Noise(TENSORS[f"step{step}/u"][None], TENSORS[f"step{step}/u_weight_step"][None], Masks([0] * 5))


@pytest.fixture(scope="module")
def problem() -> Problem:
    backbone = transformers.T5ForConditionalGeneration(transformers.T5Config(**META["config"]))
    prefix = "init/backbone/"
    backbone.load_state_dict(
        {k.removeprefix(prefix): v for k, v in TENSORS.items() if k.startswith(prefix)}, strict=False
    )
    backbone.requires_grad_(False).eval()
    model = GatedModel(backbone, place(space(), backbone))
    settings = RunSpec(
        model="tiny", task={"name": "icd10-chapter"}, space=space(), budget=1, preset="paper",
        search={"max_steps": 100, "learning_rate": META["learning_rate"]},
    ).search  # fmt: skip
    return Problem(model, torch.tensor(model.parameters), META["budget_params"] * (1 - 1e-7), settings, 100)


@pytest.fixture(scope="module")
def trajectory(problem) -> list[tuple[SearchState, SearchState, StepMetrics]]:
    """For each of the three steps: the state before, the state after, the metrics."""
    state = replace(initial_state(problem, vector(problem.model, "init/delta")), alpha=TENSORS["init/alpha"])
    steps = []
    for step in range(3):
        after, metrics = search_step(problem, state, [batch(step, "train")], [batch(step, "val")], noise(step))
        steps.append((state, after, metrics))
        state = after
    return steps


every_step = pytest.mark.parametrize("step", range(3))


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return ((a - b).norm() / b.norm()).item()


def test_the_candidates_stand_in_the_original_order(problem):
    ours = [(p.candidate.module, NAMES[p.candidate.delta][0]) for p in problem.model.placed]
    assert ours == [(position["site"], position["delta"]) for position in META["positions"]]


@every_step
def test_the_gates_of_all_five_losses(problem, trajectory, step):
    before, after, _ = trajectory[step]
    outer = sample(problem.logits(before.alpha, step)[0], noise(step).outer)
    weights = sample(problem.logits(after.alpha, step)[0], noise(step).weights)
    for number in range(4):
        torch.testing.assert_close(outer[0], TENSORS[f"step{step}/z/{number}"], rtol=0, atol=1e-6)
    torch.testing.assert_close(weights[0], TENSORS[f"step{step}/z/4"], rtol=0, atol=1e-6)


@every_step
def test_the_losses(problem, trajectory, step):
    before, _, metrics = trajectory[step]
    virtual, validation, above, below, weights = META["steps"][step]["losses"]
    assert metrics.validation_loss.item() == pytest.approx(validation, abs=1e-5)
    assert metrics.train_loss.item() == pytest.approx(weights, abs=1e-5)
    z = sample(problem.logits(before.alpha, step)[0], noise(step).outer)
    direction = vector(problem.model, f"step{step}/val_grad")
    epsilon = 0.01 / direction.norm()
    for factor, expected in ((0, virtual), (1, above), (-1, below)):
        moved = before.weights + factor * epsilon * direction
        assert loss_under(problem.model, moved, z[0], batch(step, "train")).item() == pytest.approx(expected, abs=1e-5)


@every_step
def test_the_virtual_weights_and_the_validation_gradient(problem, trajectory, step):
    before, _, _ = trajectory[step]
    z = sample(problem.logits(before.alpha, step)[0], noise(step).outer)
    _, gradient, _ = TrainPasses(problem.model, [batch(step, "train")], z, Masks([0]), [VIRTUAL]).all_gradients(
        before.weights
    )
    virtual, _ = adamw.update(before.weights, gradient, before.weight_state, problem.rates(step)[0])
    assert relative(virtual, vector(problem.model, f"step{step}/virtual")) < 1e-3
    _, gradient, _ = TrainPasses(problem.model, [batch(step, "val")], z, Masks([0, 0]), [VALIDATION]).all_gradients(
        virtual
    )
    assert relative(gradient, vector(problem.model, f"step{step}/val_grad")) < 1e-3


@every_step
def test_the_outer_gradient(problem, trajectory, step):
    before, _, _ = trajectory[step]
    alpha = before.alpha.clone().requires_grad_()
    z = sample(problem.logits(alpha, step)[0], noise(step).outer)
    lr = problem.rates(step)[0]
    batches = [batch(step, "train")], [batch(step, "val")]
    to_gates, _ = outer_gradient(problem, before, z.detach(), *batches, noise(step), lr)
    (gradient,) = torch.autograd.grad(z, alpha, to_gates)
    assert relative(gradient, TENSORS[f"step{step}/alpha_grad"]) < 1e-3


@every_step
def test_the_weights_and_alphas_after_the_step(problem, trajectory, step):
    _, after, metrics = trajectory[step]
    assert relative(after.alpha, TENSORS[f"step{step}/after/alpha"]) < 1e-3
    assert relative(after.weights, vector(problem.model, f"step{step}/after/delta")) < 1e-3
    assert metrics.expected.item() == pytest.approx(META["budget_params"], rel=1e-6)
