"""Whole runs of the methods that PEFT computes: their budget, what they log, kills, and what PEFT loads of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
import transformers
from peft import PeftModel
from support import make_run, run_spec, save_model, space
from workers import attempt, has_reached, kill_at, outcome

import core
from core.adapters import activations
from core.export.writing import export
from core.model.backbone import load_backbone, open_pretrained
from core.model.deltafile import read_delta
from core.run.errors import EXIT_OK, EXIT_USAGE, ModelError
from core.run.events import Eval, Failed, Phase, Step, StructureChosen, read_events
from core.run.events import Space as SpaceEvent
from core.run.methods import OWN
from core.run.rundir import RunDir, read_json
from core.run.structure import Structure
from core.training.data import load_data
from core.training.evaluate import evaluate
from core.worker.execute import execute

METHODS = [row.name for row in OWN if row.adapter]
ALLOCATING = {row.name for row in OWN if row.adapter and row.adapter.allocates}
LINEAR_ALONE = {row.name for row in OWN if row.adapter and row.adapter.ranks == "one"}
CASES = [
    *((method, "bert") for method in METHODS),
    *((method, family) for family in ("t5", "gpt2", "llama") for method in METHODS),
]
CASES = [case for case in CASES if case[1] != "gpt2" or case[0] not in LINEAR_ALONE]
BUDGET, STEPS = 700, 10
AUTO = {"bert": "SequenceClassification", "t5": "Seq2SeqLM", "gpt2": "CausalLM", "llama": "CausalLM"}


@pytest.fixture(scope="module")
def finished(root, tmp_path_factory):
    """A finished run of a method and family, made once."""
    folder, made = tmp_path_factory.mktemp("adapters"), {}

    def run_of(method: str, family: str) -> RunDir:
        if not (root / family).exists():
            save_model(family, root / family)
        if (method, family) not in made:
            made[method, family] = make_run(folder / f"{method}-{family}", settings(root, method, family))
            assert execute(made[method, family]) == EXIT_OK
        return made[method, family]

    return run_of


def settings(root, method: str, family: str = "bert", **changes):
    length = {"max_steps": STEPS, "eval_every": 2}
    own = {"method": method, "budget": BUDGET, "retrain": length}
    return run_spec(root / family, root / "reviews.jsonl", **(own | changes))


def failure(folder, spec) -> Failed:
    run = make_run(folder, spec)
    assert execute(run) == EXIT_USAGE
    event = read_events(run.events)[0][-1]
    assert isinstance(event, Failed)
    return event


@pytest.mark.parametrize(("method", "family"), CASES)
def test_what_is_trained_is_counted_and_within_the_budget(finished, method, family):
    run = finished(method, family)
    result, file = read_json(run.result), read_delta(run.path)
    structure = Structure.from_json(read_json(run.structure))
    trained = sum(t.numel() for name, t in file.adapted.items() if "indices" not in name)
    assert 0 < trained == result["parameters"] == structure.parameters <= BUDGET
    assert (result["most_parameters"] > BUDGET) == (method in ALLOCATING)
    assert sum(t.numel() for t in file.own.values()) == result["head_parameters"]
    assert (result["head_parameters"] > 0) == (family == "bert")
    assert all(t.dtype == torch.float32 for name, t in (file.adapted | file.own).items() if "indices" not in name)


@pytest.mark.parametrize(("method", "family"), CASES)
def test_the_events_are_those_of_any_other_run(finished, method, family):
    events = read_events(finished(method, family).events)[0]
    structure = Structure.from_json(read_json(finished(method, family).structure))
    shown = next(e for e in events if isinstance(e, SpaceEvent))
    assert [c["name"] for c in shown.candidates] == [c.name for c in structure.candidates]
    assert [e.step for e in events if isinstance(e, Step)] == list(range(1, STEPS + 1))
    assert [e.phase for e in events if isinstance(e, Phase)] == ["retrain", "test"]
    chosen = [e for e in events if isinstance(e, StructureChosen)]
    assert [(tuple(e.selected), e.parameters) for e in chosen] == [(structure.selected, structure.parameters)]
    validated = [e for e in events if isinstance(e, Eval) and e.split == "validation"]
    assert [e.step for e in validated] == list(range(2, STEPS + 1, 2))
    first = next(e.step for e in validated if e.best)
    assert first == (8 if method in ALLOCATING else 2)  # what is over the budget is never the best


def test_the_result_has_the_fields_of_any_other_run(finished, tmp_path, root):
    ours = make_run(tmp_path, settings(root, "fixed", budget=None, space=space("lnfit"), retrain={"max_steps": 2}))
    assert execute(ours) == EXIT_OK
    fields = set(read_json(ours.result))
    assert all(set(read_json(finished(method, "bert").result)) == fields for method in METHODS)


@pytest.mark.parametrize(
    ("method", "family", "precision"),
    [*((method, "bert", "fp32") for method in METHODS), ("adalora", "t5", "bf16"), ("ln-tuning", "t5", "bf16")],
)
def test_a_killed_run_ends_bit_for_bit_the_same(tmp_path, root, reference, method, family, precision):
    spec = settings(root, method, family, precision=precision, checkpoint_every=2, eval_batch_size=1)
    run = make_run(tmp_path / "run", spec)
    assert kill_at(run, [lambda w, s=s: has_reached(w, "retrain", s) for s in (3, 8)]) == 2
    assert attempt(run) == EXIT_OK
    assert outcome(run) == reference(spec)


@pytest.mark.parametrize("kind", ["peft", "merged"])
@pytest.mark.parametrize(("method", "family"), [*((m, "bert") for m in METHODS), ("adalora", "t5"), ("eva", "gpt2")])
def test_what_is_exported_scores_as_the_run_did(finished, tmp_path, method, family, kind):
    run = finished(method, family)
    spec = read_json(run.spec)
    folder = Path(export(run.path, kind, tmp_path / "out")["folder"])
    backbone = load_backbone(spec["model"], 2, False, torch.device("cpu"), torch.float32, 5)
    auto = getattr(transformers, f"AutoModelFor{AUTO[family]}")
    if kind == "merged":
        model = auto.from_pretrained(folder)
    else:
        model = PeftModel.from_pretrained(auto.from_pretrained(spec["model"], num_labels=2), folder).base_model.model
        assert read_json(folder / "adapter_config.json")["base_model_name_or_path"] == spec["model"]
    run_settings = settings(Path(spec["model"]).parent, method, family)
    data = load_data(run_settings, open_pretrained(spec["model"]), torch.device("cpu"), lambda task: None)
    object.__setattr__(backbone, "model", model.eval())
    metrics = read_json(run.result)["metrics"]
    assert evaluate(backbone, data, "test", 64) == pytest.approx(metrics)


def test_what_only_peft_can_load_is_refused_elsewhere(finished, tmp_path):
    run = finished("lora", "bert")
    with pytest.raises(ModelError, match="--to peft"):
        export(run.path, "delta", tmp_path / "out")
    backbone = load_backbone(read_json(run.spec)["model"], 2, False, torch.device("cpu"), torch.float32, 5)
    with pytest.raises(ModelError, match=r"PeftModel\.from_pretrained"):
        core.load_delta(backbone.model, run.path)


@pytest.mark.parametrize("method", METHODS)
def test_a_missing_package_is_named_in_one_line(tmp_path, root, monkeypatch, method):
    monkeypatch.setitem(sys.modules, "peft", None)
    event = failure(tmp_path, settings(root, method))
    assert event.message == f"method '{method}' needs PEFT"
    assert event.hint == "pip install 's3tui[peft]'"


@pytest.mark.parametrize("method", METHODS)
def test_a_budget_below_every_target_is_refused(tmp_path, root, method):
    assert (
        "the budget of 31 parameters is below the smallest target"
        in failure(tmp_path, settings(root, method, budget=31)).message
    )


def test_what_peft_cannot_train_is_refused(tmp_path, root):
    save_model("gpt2", root / "gpt2")
    assert "Conv1D" in failure(tmp_path / "a", settings(root, "shira", "gpt2")).message
    assert "no rank to take away" in failure(tmp_path / "b", settings(root, "adalora", peft={"rank": 1})).message


def test_eva_that_does_not_settle_ends_with_a_message(tmp_path, root, monkeypatch):
    monkeypatch.setattr(activations, "MOST", 1)
    assert "directions of EVA still change after 1 batches" in failure(tmp_path, settings(root, "eva")).message
