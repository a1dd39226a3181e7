"""Whole runs with every kind of delta and with choices: searched, cut out, retrained, saved, killed, resumed."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from support import make_run, run_spec, space
from workers import STEPS, attempt, has_reached, kill_at, outcome

from core.model.backbone import load_backbone
from core.model.gated import GatedModel
from core.model.space import restore
from core.run.errors import EXIT_OK
from core.run.events import Step, read_events
from core.run.rundir import read_json
from core.run.spec import RunSpec
from core.run.structure import Candidate, Structure, choices_of
from core.tasks import load_task
from core.training.data import encode
from core.training.evaluate import evaluate
from core.worker.execute import execute

TABLE = {
    "attn.{q,v}": ["lora(rank=[1, 2, 4])", "ia3"],
    "attn.k": ["ia3"],
    "ffn.out": ["ia3", "low-rank-adapter(rank=[1, 2])"],
    "block.attn": ["prefix(length=[1, 2])", "compacter(reduction=8)"],
    "block.ffn": ["parallel-adapter(bottleneck=[1, 2])", "adapter(bottleneck=[1, 2])"],
    "input": ["soft-prompt(length=[1, 3])"],
}
BUDGET = 500
SEARCHES = [{"gates": "soft"}, {"gates": "hard", "selection": "knapsack"}, {"hypergradient": "exact"}]


def spec_of(root, family: str = "bert", **changes) -> RunSpec:
    settings = {"space": space(TABLE), "budget": BUDGET, "search": {"gates": "hard"}} | changes
    return run_spec(root / family, root / "reviews.jsonl", **settings)


def structure_of(run) -> Structure:
    return Structure.from_json(read_json(run.structure))


def is_exclusive(structure: Structure) -> bool:
    choices = choices_of(structure.candidates)
    return len({choices[i] for i in structure.selected}) == len(structure.selected)


@pytest.mark.parametrize("family", ["bert", "t5"])
@pytest.mark.parametrize(
    "search", [{"gates": "soft"}, {"gates": "hard", "selection": "knapsack"}, {"hypergradient": "exact"}]
)
def test_a_search_among_choices_holds_the_budget_and_cuts_out_one_of_each(tmp_path, root, family, search):
    run = make_run(tmp_path / "run", spec_of(root, family, search=search))
    assert execute(run) == EXIT_OK
    structure = structure_of(run)
    assert {c.choice for c in structure.candidates} >= {"lora(rank=[1, 2, 4])", "prefix(length=[1, 2])", ""}
    assert is_exclusive(structure)
    assert 0 < structure.parameters <= BUDGET
    result = read_json(run.result)
    tensors = load_file(run.delta)
    assert sum(t.numel() for t in tensors.values()) == structure.parameters + result["head_parameters"]
    steps = [e for e in read_events(run.events)[0] if isinstance(e, Step) and e.phase == "search"]
    assert all(e.expected == pytest.approx(BUDGET, rel=1e-6) for e in steps)


@pytest.mark.parametrize("method", ["random", "fixed"])
def test_other_methods_take_one_alternative_too(tmp_path, root, method):
    run = make_run(tmp_path / "run", spec_of(root, method=method))
    assert execute(run) == EXIT_OK
    assert is_exclusive(structure_of(run))
    assert 0 < structure_of(run).parameters <= BUDGET


def test_a_fixed_choice_without_a_budget_is_its_largest(tmp_path, root):
    run = make_run(
        tmp_path / "run", spec_of(root, method="fixed", budget=None, space=space({"attn.q": TABLE["attn.{q,v}"]}))
    )
    assert execute(run) == EXIT_OK
    assert [c.name for c in structure_of(run).chosen] == [
        "E0.attn.q lora(rank=4)", "E0.attn.q ia3", "E1.attn.q lora(rank=4)", "E1.attn.q ia3",
    ]  # fmt: skip


@pytest.mark.parametrize("family", ["bert", "t5"])
def test_the_saved_weights_of_every_delta_give_the_score_of_the_run(tmp_path, root, family):
    """The file alone, on a fresh backbone, repeats the test score that the run reported."""
    table = {pattern: [d.replace("[1, ", "").replace("]", "") for d in deltas] for pattern, deltas in TABLE.items()}
    table |= {"attn.{q,v}": ["lora(rank=2)"]}
    spec = spec_of(root, family, method="fixed", budget=None, space=space(table), retrain={"max_steps": 12})
    run = make_run(tmp_path / "run", spec)
    assert execute(run) == EXIT_OK
    task = load_task(spec.task, spec.data_seed)
    backbone = load_backbone(spec.model, 2, False, torch.device("cpu"), torch.float32, seed=99)
    with safe_open(run.delta, "pt") as file:
        chosen = [Candidate(**c) for c in json.loads(file.metadata()["s3tui"])["candidates"]]
    assert {c.delta.partition("(")[0] for c in chosen} >= {
        "prefix",
        "soft-prompt",
        "compacter",
        "ia3",
        "parallel-adapter",
    }
    model = GatedModel(backbone.model, restore(tuple(chosen), backbone.model), backbone.head)
    data = encode(task, backbone, torch.device("cpu"), spec.evaluation)
    with model.bound(model.from_named(load_file(run.delta)), torch.ones(len(chosen))):
        assert evaluate(backbone, data, "test", 32) == read_json(run.result)["metrics"]


def test_a_run_with_choices_that_is_killed_ends_bit_for_bit_the_same(tmp_path, root, reference):
    length = {"max_steps": STEPS, "eval_every": 6}
    spec = spec_of(root, search=length | {"gates": "hard"}, retrain=length, checkpoint_every=4)
    run = make_run(tmp_path / "run", spec)
    moments = [("search", 9), ("search", 20), ("retrain", 10)]
    kills = [lambda worker, phase=phase, step=step: has_reached(worker, phase, step) for phase, step in moments]
    assert kill_at(run, kills) == 3
    assert attempt(run) == EXIT_OK
    assert outcome(run) == reference(spec)
