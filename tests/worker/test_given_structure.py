"""A given structure, trained by the worker on tiny real models."""

from __future__ import annotations

import json

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from support import make_run, run_spec, save_model, save_reviews, space
from workers import attempt

from core.run.errors import EXIT_OK, EXIT_USAGE
from core.run.events import Failed, read_events
from core.run.given import awaited_space, given_space
from core.run.rundir import RunDir, read_json
from core.run.searched import take
from core.run.spec import RunSpec
from core.run.structure import Structure
from core.worker.execute import execute

NAME = "suite/first"


def given(searched: RunDir, start: str, **changes) -> RunSpec:
    """The settings of a run that is given what another has found."""
    spec = RunSpec.of_file(read_json(searched.spec))
    structure = Structure.from_json(read_json(searched.structure))
    assert len(structure.chosen) > 1
    retrain = spec.retrain.model_copy(update={"start": start})
    space = given_space(f"run:{NAME}", structure)
    return spec.model_copy(update={"method": "given", "space": space, "retrain": retrain} | changes)


@pytest.mark.parametrize(
    ("family", "method", "start"),
    [("bert", "s3", "scratch"), ("t5", "s3", "searched"), ("bert", "saliency", "searched")],
)
def test_what_a_search_found_trains_the_same_when_it_is_given(tmp_path, root, uninterrupted, family, method, start):
    """Structure and first weights alone decide: a run that is given them ends with the same weights, bit for bit."""
    first = start if method == "s3" else "scratch"
    settings = {"method": method, "saliency": {"batches": 2, "head_steps": 1}, "retrain": {"start": first}}
    searched = uninterrupted(run_spec(root / family, root / "reviews.jsonl", **settings))
    structure = Structure.from_json(read_json(searched.structure))
    run = make_run(tmp_path / "given", given(searched, start))
    if start == "searched":
        take(run, searched, NAME)
    assert attempt(run) == EXIT_OK
    assert read_json(run.result).get("search_from") == (NAME if start == "searched" else None)
    assert Structure.from_json(read_json(run.structure)).chosen == structure.chosen
    assert read_json(run.result)["metrics"] == read_json(searched.result)["metrics"]
    ours, theirs = (path.read_bytes() for path in (run.delta, searched.delta))
    assert ours == theirs


@pytest.mark.parametrize("family", ["bert", "t5", "llama"])
def test_a_prompt_a_prefix_and_a_chosen_rank_train_the_same_when_they_are_given(tmp_path, family):
    """What a draw took of choices is given by its own deltas, without the alternatives."""
    model = save_model(family, tmp_path / family)
    reviews = save_reviews(tmp_path / "reviews.jsonl", 80)
    choices = {
        "input": ["soft-prompt(length=[1, 2])"],
        "block.attn": ["prefix(length=[1, 2])"],
        "attn.{q,v}": ["lora(rank=[1, 2, 4])"],
    }
    drawn = make_run(tmp_path / "drawn", run_spec(model, reviews, method="random", budget=800, space=space(choices)))
    assert execute(drawn) == EXIT_OK
    structure = Structure.from_json(read_json(drawn.structure))
    kinds = {c.delta.partition("(")[0] for c in structure.chosen}
    assert kinds == {"soft-prompt", "prefix", "lora"}
    assert {c.delta for c in structure.chosen} & {"lora(rank=1)", "lora(rank=2)"}  # not only the largest of a choice
    given = run_spec(model, reviews, method="given", budget=None, space=given_space("found", structure))
    run = make_run(tmp_path / "given", given)
    assert execute(run) == EXIT_OK
    ours = Structure.from_json(read_json(run.structure))
    assert [c.name for c in ours.chosen] == [c.name for c in structure.chosen]
    assert ours.parameters == structure.parameters
    assert not any(c.choice for c in ours.candidates)
    assert read_json(run.result)["metrics"] == read_json(drawn.result)["metrics"]
    tensors, expected = load_file(run.delta), load_file(drawn.delta)
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensors[name], expected[name]) for name in tensors)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("missing", "search.json"), ("damaged", "searched.safetensors is damaged"),
        ("task", f"the weights of {NAME} do not fit: classifier.bias is [2] there and [3] here"),
    ],
)  # fmt: skip
def test_weights_that_are_not_there_or_do_not_fit_are_told(tmp_path, root, uninterrupted, fault, words):
    searched = uninterrupted(run_spec(root / "bert", root / "reviews.jsonl"))
    spec = given(searched, "searched")
    if fault == "task":
        rows = [{"text": f"row {i}", "label": "abc"[i % 3]} for i in range(60)]
        (tmp_path / "three.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        spec = given(searched, "searched", task=spec.task.model_copy(update={"path": str(tmp_path / "three.jsonl")}))
    run = make_run(tmp_path / "given", spec)
    if fault != "missing":
        take(run, searched, NAME)
    if fault == "damaged":
        run.searched.write_bytes(run.searched.read_bytes()[:-1])
    assert attempt(run) == EXIT_USAGE
    failed = read_events(run.events)[0][-1]
    assert isinstance(failed, Failed)
    assert words in failed.message


def test_weights_of_a_structure_from_a_file_cannot_be_asked_for(root, uninterrupted):
    searched = uninterrupted(run_spec(root / "bert", root / "reviews.jsonl"))
    structure = Structure.from_json(read_json(searched.structure))
    with pytest.raises(ValidationError, match=r"this structure is from a file: name the run .*run:NAME"):
        run_spec(
            root / "bert", root / "reviews.jsonl",
            method="given", space=given_space("found.json", structure), retrain={"start": "searched"},
        )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"budget": 100}, "trains {parameters} parameters, the budget is 100"),
        ({"space": awaited_space("first/other")}, "the structure of first/other is not filled in"),
    ],
)
def test_a_structure_that_cannot_be_trained_as_it_is_is_refused(tmp_path, root, uninterrupted, changes, words):
    searched = uninterrupted(run_spec(root / "bert", root / "reviews.jsonl"))
    structure = Structure.from_json(read_json(searched.structure))
    given = {"method": "given", "space": given_space("found", structure)}
    run = make_run(tmp_path / "given", run_spec(root / "bert", root / "reviews.jsonl", **given | changes))
    assert attempt(run) == EXIT_USAGE
    failed = read_events(run.events)[0][-1]
    assert isinstance(failed, Failed)
    assert words.format(parameters=structure.parameters) in failed.message
