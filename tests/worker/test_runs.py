"""Whole runs of tiny real models by the worker: what they leave behind, and how they fail."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from support import build, make_run, run_spec, save_model, save_reviews, space

from core.model.backbone import load_backbone
from core.model.gated import GatedModel
from core.model.space import restore
from core.run.errors import EXIT_FAILED, EXIT_OK, EXIT_USAGE
from core.run.events import Eval, Failed, Finished, Gates, Started, Step, StructureChosen, read_events
from core.run.rundir import RunDir, read_json
from core.run.structure import Candidate, Structure
from core.training import loss
from core.training.loss import dropout_scales
from core.worker.execute import execute

# Encoders, encoder-decoders, decoders.
SEARCHED = ("bert", "roberta", "distilbert", "deberta-v2", "t5", "t5-v1.1", "bart", "llama", "gpt2")


@pytest.fixture(scope="session")
def reviews(tmp_path_factory) -> Path:
    return save_reviews(tmp_path_factory.mktemp("data") / "reviews.jsonl")


@pytest.fixture(scope="session")
def models(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {family: save_model(family, root / family) for family in SEARCHED}


def steps(run: RunDir) -> list[Step]:
    """The steps of a run without their wall times."""
    return [replace_time(e) for e in read_events(run.events)[0] if isinstance(e, Step)]


def replace_time(event: Step) -> Step:
    from dataclasses import replace

    return replace(event, t=0.0, seq=0)


def last(run: RunDir) -> object:
    return read_events(run.events)[0][-1]


def check_predictions(run: RunDir, result: dict) -> None:
    """The predictions are of every test row and give the score; the result says how sure and how easy that score is."""
    kept = pyarrow.parquet.read_table(run.predictions)
    labels, table = json.loads(kept.schema.metadata[b"labels"]), kept.to_pylist()
    assert [row["row"] for row in table] == list(range(result["rows"]))
    assert {row["target"] for row in table} == {"bad", "good"}
    assert result["score"] == statistics.fmean(row["target"] == row["prediction"] for row in table)
    for row in table:
        assert row["prediction"] == labels[row["probabilities"].index(max(row["probabilities"]))]
        assert sum(row["probabilities"]) == pytest.approx(1, abs=1e-3)
    assert 0 < result["standard_error"] < 0.3 or result["score"] in (0, 1)
    shares = [statistics.fmean(row["target"] == label for row in table) for label in ("bad", "good")]
    assert result["constant"]["accuracy"] in shares


@pytest.mark.parametrize("family", SEARCHED)
def test_a_search_leaves_a_structure_under_the_budget_and_its_weights(tmp_path, models, reviews, family):
    spec = run_spec(models[family], reviews)
    run = make_run(tmp_path / "run", spec)
    assert execute(run) == EXIT_OK
    structure = Structure.from_json(read_json(run.structure))
    assert 0 < structure.parameters <= 300 == structure.budget
    result = read_json(run.result)
    assert result["parameters"] == structure.parameters
    assert result["metric"] == "accuracy"
    check_predictions(run, result)
    tensors = load_file(run.delta)
    assert sum(t.numel() for t in tensors.values()) == structure.parameters + result["head_parameters"]
    events, skipped = read_events(run.events)
    assert skipped == 0
    assert isinstance(events[-1], Finished)
    assert events[-1].score == result["score"]
    assert [e.step for e in events if isinstance(e, Step)] == [*range(1, 7), *range(1, 9)]
    assert all(
        e.expected == pytest.approx(300, rel=1e-6) for e in events if isinstance(e, Step) and e.phase == "search"
    )
    assert {e.split for e in events if isinstance(e, Eval)} == {"validation", "test"}
    assert len(next(e for e in events if isinstance(e, Gates)).p) == len(structure.candidates)
    assert next(e for e in events if isinstance(e, StructureChosen)).selected == list(structure.selected)


def test_a_run_learns_and_its_saved_weights_give_its_score(tmp_path, models, reviews):
    """The file alone, on a fresh backbone, repeats the test score that the run reported."""
    from core.tasks import load_task
    from core.training.data import encode
    from core.training.evaluate import evaluate

    data = save_reviews(tmp_path / "many.jsonl", rows=600)
    spec = run_spec(
        models["bert"],
        data,
        budget=1200,
        retrain={"max_steps": 200, "learning_rate": 5e-3, "batch_size": 16, "eval_every": 20},
    )
    run = make_run(tmp_path / "run", spec)
    assert execute(run) == EXIT_OK
    result = read_json(run.result)
    assert result["score"] > 0.8  # the moods of three words of seven tell the label

    task = load_task(spec.task, spec.data_seed)
    backbone = load_backbone(spec.model, 2, False, torch.device("cpu"), torch.float32, seed=99)
    with safe_open(run.delta, "pt") as file:
        chosen = [Candidate(**c) for c in json.loads(file.metadata()["s3tui"])["candidates"]]
    model = GatedModel(backbone.model, restore(tuple(chosen), backbone.model), backbone.head)
    with model.bound(model.from_named(load_file(run.delta)), torch.ones(len(chosen))):
        metrics = evaluate(backbone, encode(task, backbone, torch.device("cpu")), "test", 32)
    assert metrics == result["metrics"]


def test_equal_specs_give_equal_results_to_the_last_bit(tmp_path, models, reviews):
    spec = run_spec(models["bert"], reviews)
    first, second = (make_run(tmp_path / name, spec) for name in ("a", "b"))
    assert execute(first) == execute(second) == EXIT_OK
    assert steps(first) == steps(second)
    assert first.structure.read_bytes() == second.structure.read_bytes()
    assert first.delta.read_bytes() == second.delta.read_bytes()


def test_another_seed_is_another_run_on_the_same_rows(tmp_path, models, reviews):
    first, second = (make_run(tmp_path / str(seed), run_spec(models["bert"], reviews, seed=seed)) for seed in (0, 1))
    assert execute(first) == execute(second) == EXIT_OK
    assert steps(first) != steps(second)


@pytest.mark.parametrize("hypergradient", ["first-order", "forward-difference", "exact"])
@pytest.mark.parametrize("gates", ["soft", "hard"])
def test_every_hypergradient_searches_with_soft_and_hard_gates(tmp_path, models, reviews, hypergradient, gates):
    search = {"max_steps": 2, "eval_every": 2, "hypergradient": hypergradient, "gates": gates}
    spec = run_spec(models["bert"], reviews, search=search, retrain={"max_steps": 1})
    run = make_run(tmp_path / "run", spec)
    assert execute(run) == EXIT_OK
    assert Structure.from_json(read_json(run.structure)).parameters <= 300


def test_the_preset_of_the_paper_and_the_knapsack_run(tmp_path, models, reviews):
    spec = run_spec(models["t5"], reviews, preset="paper", search={"selection": "knapsack"})
    assert spec.search.virtual_scaling == "paper"
    assert execute(make_run(tmp_path / "run", spec)) == EXIT_OK


def test_random_structures_are_drawn_from_the_seed_under_the_budget(tmp_path, models, reviews):
    chosen = []
    for seed in (0, 0, 1):
        run = make_run(tmp_path / str(len(chosen)), run_spec(models["bert"], reviews, method="random", seed=seed))
        assert execute(run) == EXIT_OK
        structure = Structure.from_json(read_json(run.structure))
        assert structure.parameters <= 300
        chosen.append(structure.selected)
        assert not [e for e in read_events(run.events)[0] if isinstance(e, Step) and e.phase == "search"]
    assert chosen[0] == chosen[1] != chosen[2]


def test_a_fixed_space_is_taken_whole_or_from_the_last_layer_down(tmp_path, models, reviews):
    lora = space({"attn.{q,v}": ["lora(rank=1)"]})
    for budget, labels in (
        (None, ["E0.attn.q", "E0.attn.v", "E1.attn.q", "E1.attn.v"]),
        (128, ["E1.attn.q", "E1.attn.v"]),
    ):
        spec = run_spec(models["bert"], reviews, method="fixed", space=lora, budget=budget)
        run = make_run(tmp_path / str(budget), spec)
        assert execute(run) == EXIT_OK
        assert [c.label for c in Structure.from_json(read_json(run.structure)).chosen] == labels


def test_a_space_of_nothing_trains_the_head_alone(tmp_path, models, reviews):
    run = make_run(
        tmp_path / "run", run_spec(models["bert"], reviews, method="fixed", space=space("none"), budget=None)
    )
    assert execute(run) == EXIT_OK
    assert set(load_file(run.delta)) == {"classifier.weight", "classifier.bias"}
    assert read_json(run.result)["parameters"] == 0


@pytest.mark.parametrize("family", ["bert", "t5"])
def test_full_fine_tuning_trains_everything(tmp_path, models, reviews, family):
    run = make_run(tmp_path / "run", run_spec(models[family], reviews, method="full", budget=None))
    assert execute(run) == EXIT_OK
    result = read_json(run.result)
    assert result["parameters"] == result["backbone_parameters"]
    trained, start = load_file(run.delta), build(family).state_dict()
    assert sum(t.numel() for t in trained.values()) == result["parameters"] + result["head_parameters"]
    moved = [name for name in trained if name in start and not torch.equal(trained[name], start[name])]
    assert len(moved) > 20


@pytest.mark.parametrize("family", ["bert", "t5"])
def test_numbers_are_predicted_too(tmp_path, models, family):
    data = save_reviews(tmp_path / "numbers.jsonl", number=True)
    run = make_run(tmp_path / "run", run_spec(models[family], data))
    assert execute(run) == EXIT_OK
    assert list(read_json(run.result)["metrics"]) == ["pearson", "spearman"]


def no_weights(folder: Path) -> Path:
    build("bert").config.save_pretrained(folder)
    return folder


def reviews_task(folder: Path, **changes: object) -> dict:
    path = save_reviews(folder / "reviews.jsonl")
    return {"task": {"path": str(path), "text": ["text"], "label": "label", "max_length": 24} | changes}


# What is changed in a good spec, the kind of the failure, and what its message must say.
BAD = {
    "a model folder that is not there": (lambda t: {"model": "./nowhere"}, "model", "no model folder"),
    "a model folder without weights": (lambda t: {"model": str(no_weights(t / "m"))}, "model", "has no weights"),
    "a builtin model that is none": (lambda t: {"model": "builtin:minilmm"}, "model", "did you mean 'minilm'"),
    "a budget under the smallest candidate": (lambda t: {"budget": 5}, "spec", "below the smallest candidate (32)"),
    "a budget above the space": (lambda t: {"budget": 10**6}, "spec", "above the whole space"),
    "a GPU where there is none": (lambda t: {"device": "cuda:7"}, "device", "cuda:7"),
    "a site that the model lacks": (lambda t: {"space": space({"cross.q": ["lora"]})}, "spec", "no module of bert"),
    "a column that is not there": (lambda t: reviews_task(t, text=["txt"]), "data", "txt"),
    "data that are not there": (lambda t: reviews_task(t, path="/no/such.csv"), "data", "/no/such.csv"),
    "texts longer than the model reads": (lambda t: reviews_task(t, max_length=99), "spec", "reads 40 tokens"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_clear_line_and_exit_code_2(tmp_path, models, reviews, capsys, case):
    changes, kind, message = BAD[case]
    run = make_run(tmp_path / "run", run_spec(models["bert"], reviews).model_copy(update=_validated(changes(tmp_path))))
    assert execute(run) == EXIT_USAGE
    failed = last(run)
    assert isinstance(failed, Failed)
    assert failed.kind == kind
    assert message in f"{failed.message}: {failed.hint}"
    printed = [line for line in capsys.readouterr().err.splitlines() if line.startswith(f"{kind}: ")]
    assert printed == [f"{kind}: {failed.message}: {failed.hint}"]
    assert read_json(run.summary)["status"] == "failed"


def _validated(changes: dict) -> dict:
    from core.run.task_spec import FileTask

    return {k: FileTask.model_validate(v) if k == "task" else v for k, v in changes.items()}


def test_a_hub_name_without_a_network_says_where_was_looked(tmp_path, reviews):
    run = make_run(tmp_path / "run", run_spec(Path("no-such-owner/no-such-model"), reviews))
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}
    done = subprocess.run(
        [sys.executable, "-m", "core", str(run.path)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == EXIT_USAGE
    assert f"not in the cache {tmp_path / 'hf' / 'hub'}" in done.stderr
    assert "copy the model's folder here and give its path" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_search_that_diverges_says_so(tmp_path, models, reviews):
    run = make_run(tmp_path / "run", run_spec(models["bert"], reviews, search={"learning_rate": 9e15}))
    assert execute(run) == EXIT_FAILED
    failed = last(run)
    assert isinstance(failed, Failed)
    assert failed.kind == "diverged"
    assert "learning rate" in failed.hint


def test_a_damaged_spec_is_named(tmp_path):
    (tmp_path / "spec.json").write_text('{"model": 3}')
    done = subprocess.run([sys.executable, "-m", "core", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == EXIT_USAGE
    assert f"{tmp_path / 'spec.json'} is damaged" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_latest_of_the_best_scores_counts_and_scores_below_zero_do_too(tmp_path, models):
    data = save_reviews(tmp_path / "numbers.jsonl", number=True)
    run = make_run(tmp_path / "run", run_spec(models["bert"], data, retrain={"max_steps": 12, "eval_every": 1}))
    assert execute(run) == EXIT_OK
    for phase in ("search", "retrain"):
        evaluations = [e for e in read_events(run.events)[0] if isinstance(e, Eval) and e.phase == phase]
        best = float("-inf")
        for evaluation in evaluations:
            score = evaluation.metrics["pearson"]
            assert evaluation.best == (score >= best)
            best = max(best, score)
        assert evaluations[0].best
    assert read_json(run.result)["validation"]["pearson"] == best


@pytest.mark.parametrize("family", ["bert", "t5"])
def test_a_run_in_bf16_keeps_its_deltas_in_fp32(tmp_path, models, reviews, family):
    run = make_run(tmp_path / "run", run_spec(models[family], reviews, precision="bf16"))
    assert execute(run) == EXIT_OK
    started = next(e for e in read_events(run.events)[0] if isinstance(e, Started))
    assert started.precision == "bfloat16"
    assert {t.dtype for t in load_file(run.delta).values()} == {torch.float32}


@pytest.mark.parametrize(("dropout", "is_ours"), [("fast", True), ("torch", False)])
@pytest.mark.parametrize("method", ["s3", "bipeft", "saliency"])
def test_masks_are_drawn_as_the_run_asks_in_both_phases(
    tmp_path, models, reviews, monkeypatch, method, dropout, is_ours
):
    drawn = []
    monkeypatch.setattr(loss, "dropout_scales", lambda *given: drawn.append(given) or dropout_scales(*given))
    again = {"gradient_checkpointing": True}
    spec = run_spec(models["bert"], reviews, method=method, dropout=dropout, search=again, retrain=again)
    assert execute(run := make_run(tmp_path / "run", spec)) == EXIT_OK
    assert {step.phase for step in steps(run)} == {"search", "retrain"}
    assert bool(drawn) == is_ours
