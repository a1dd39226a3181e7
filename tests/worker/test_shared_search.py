"""Runs that differ in retraining alone share one search, and retraining may go on from the weights that it learned."""

from __future__ import annotations

import random
import shutil
from functools import reduce
from itertools import islice
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from support import batch, build, loss_under, make_run, run_spec, space
from workers import attempt, kill_at, make_spec, moments, outcome

from core.model.gated import GatedModel
from core.model.space import place, restore
from core.run.errors import EXIT_OK, RunDirError
from core.run.events import Gates, Phase, SearchTaken, read_events
from core.run.rundir import RunDir, read_json, write_json
from core.run.searched import read_searched, search_digest, take
from core.run.spec import RunSpec
from core.worker.execute import execute
from s3tui.runs.run_state import RunState, fold

RANKS = {"attn.{q,v}": ["lora(rank=[1, 2, 4])", "bitfit"], "norm.*": ["lnfit"], "block.ffn": ["low-rank-adapter"]}
CHOICES = {
    "attn.{q,v}": ["lora(rank=[1, 2, 4])", "bitfit"],
    "block.ffn": ["adapter(bottleneck=[1, 3])", "low-rank-adapter(rank=[1, 2])"],
    "block.attn": ["prefix(length=[1, 2])"],
    "norm.*": ["lnfit"],
}
SEARCHING = {
    "s3": {},
    "cut": {"method": "s3", "search": {"selection": "perturbation"}},
    "bipeft": {"bipeft": {"pruning_steps": 3}, "space": space(RANKS)},
    "saliency": {"saliency": {"head_steps": 4, "batches": 3}},
}
NAME = "suite/first"


def spec_of(root: Path, method: str = "s3", family: str = "bert", **retrain) -> RunSpec:
    retrain = {"max_steps": 4, "eval_every": 2} | retrain
    return run_spec(root / family, root / "reviews.jsonl", retrain=retrain, **{"method": method} | SEARCHING[method])


def done(run: RunDir) -> RunDir:
    assert execute(run) == EXIT_OK
    return run


def taker(folder: Path, spec: RunSpec, source: RunDir) -> RunDir:
    """A run that has been given the search of another, and waits for its worker."""
    run = make_run(folder, spec)
    take(run, source, NAME)
    return run


def learned(run: RunDir) -> dict:
    """What a run found and learned, whoever searched."""
    found = outcome(run)
    told = {key: event for key, event in found["told"].items() if key[1] == "retrain"}
    result = {k: v for k, v in found["result"].items() if k not in ("search_from", "shared_search_seconds")}
    return {"structure": found["structure"], "delta": found["delta"], "result": result, "told": told}


def events_of(run: RunDir, kind: type) -> list:
    return [event for event in read_events(run.events)[0] if isinstance(event, kind)]


@pytest.fixture
def source(root, uninterrupted) -> RunDir:
    """A finished run of s3 on a BERT, trained on from the weights of its search."""
    return uninterrupted(spec_of(root))


@pytest.mark.parametrize(
    ("method", "family", "start"),
    [
        ("s3", "bert", "scratch"), ("s3", "t5", "searched"), ("bipeft", "bert", "searched"),
        ("saliency", "bert", "scratch"), ("cut", "bert", "searched"),
    ],
)  # fmt: skip
def test_a_run_that_takes_a_search_ends_as_if_it_had_searched_itself(
    tmp_path, root, uninterrupted, method, family, start
):
    source = uninterrupted(spec_of(root, method, family))
    other = spec_of(root, method, family, learning_rate=5e-3, start=start)
    alone = done(make_run(tmp_path / "alone", other))
    run = done(taker(tmp_path / "second", other, source))
    assert learned(run) == learned(alone)
    assert run.structure.read_bytes() == source.structure.read_bytes()
    for key in ("ended_early", "prunings_left"):
        assert read_json(run.summary).get(key) == read_json(source.summary).get(key)


def test_what_was_taken_is_said_and_its_time_counted_apart(tmp_path, root, source, capfd):
    run = done(taker(tmp_path / "run", spec_of(root, max_steps=2), source))
    found, _ = read_searched(source)
    (event,) = events_of(run, SearchTaken)
    assert (event.source, event.steps, event.seconds) == (NAME, 6, found.seconds)
    assert [event.phase for event in events_of(run, Phase)] == ["retrain", "test"]
    result = read_json(run.result)
    assert (result["search_from"], result["shared_search_seconds"]) == (NAME, found.seconds)
    assert found.seconds > result["seconds"]["search"]
    assert "search_from" not in read_json(source.result)
    assert f"takes the search of {NAME}: 6 steps" in capfd.readouterr().err
    (gates,) = events_of(run, Gates)
    assert gates.p == [round(p, 6) for p in found.p]
    state = reduce(fold, read_events(run.events)[0], RunState())
    assert state.search_from == NAME


@pytest.mark.parametrize("other", ["data", "precision", "settings", "damaged", "weights"])
def test_a_search_under_other_conditions_or_a_damaged_one_is_repeated(tmp_path, root, source, capfd, other):
    """The files of a run may have changed since, and another machine takes another precision."""
    spec = spec_of(root, max_steps=2)
    if other == "settings":
        spec = spec.model_copy(update={"seed": 1})
    if other == "precision":
        spec = spec.model_copy(update={"precision": "bf16"})
    run = taker(tmp_path / "run", spec, source)
    if other == "data":
        found = read_json(run.search)
        write_json(run.search, found | {"conditions": found["conditions"] | {"data": "of yesterday"}})
    if other == "damaged":
        run.search.write_text("{")
    if other == "weights":
        run.searched.write_bytes(run.searched.read_bytes()[:-1])
    assert execute(run) == EXIT_OK
    assert "is not used" in capfd.readouterr().err
    assert not events_of(run, SearchTaken)
    assert "search_from" not in read_json(run.result)
    assert read_searched(run)[0].taken_from == ""
    alone = done(make_run(tmp_path / "alone", spec))
    assert learned(run) == learned(alone)


def test_nothing_is_lost_if_the_first_run_is_deleted_or_its_search_is_half_written(tmp_path, root, uninterrupted):
    first = done(make_run(tmp_path / "first", spec_of(root)))
    run = taker(tmp_path / "run", spec_of(root, start="searched"), first)
    shutil.rmtree(first.path)
    again = taker(tmp_path / "again", spec_of(root, start="searched"), run)  # what was taken can be taken
    assert learned(done(run)) == learned(done(again))
    run.searched.unlink()
    with pytest.raises(RunDirError, match=r"searched\.safetensors"):
        take(make_run(tmp_path / "third", spec_of(root)), run, NAME)
    assert not RunDir(tmp_path / "third").search.exists()


@pytest.mark.parametrize(("method", "start"), [("s3", "searched"), ("bipeft", "searched"), ("s3", "taken")])
def test_a_killed_run_that_goes_on_from_what_was_searched_ends_bit_for_bit_the_same(
    tmp_path, root, reference, uninterrupted, method, start
):
    base = make_spec(root, method="s3", every=3)
    changes = {"retrain": base.retrain.model_copy(update={"start": "searched"}), "method": method}
    spec = base.model_copy(update=changes)
    run = make_run(tmp_path / "run", spec)
    if start == "taken":
        take(run, uninterrupted(base), NAME)
    phases = ("retrain",) if start == "taken" else ("search", "retrain")
    assert kill_at(run, islice(moments(random.Random(method), phases), 0, None, 3)) >= 2
    assert attempt(run) == EXIT_OK
    expected = reference(spec)
    found = outcome(run)
    if start == "taken":
        assert found["result"].pop("search_from") == NAME
        found["result"].pop("shared_search_seconds")
        assert {k: found[k] for k in ("structure", "delta", "result")} == {
            k: expected[k] for k in ("structure", "delta", "result")
        }
    else:
        assert found == expected


@pytest.mark.parametrize("family", ["bert", "t5"])
def test_a_selected_candidate_starts_as_the_module_that_the_search_had_with_its_gate_open(family):
    """Of alternatives too, which share their weights in the search."""
    backbone = build(family)
    model = GatedModel(backbone, place(space(CHOICES), backbone))
    torch.manual_seed(0)
    weights = model.initial_weights(0) + 0.1 * torch.randn(model.layout.size)
    first = {}
    for i, choice in enumerate(model.choices):
        if i % 3 or choice not in first:
            first[choice] = i
    selected = sorted(first.values())
    gates = torch.zeros(len(model.placed))
    gates[selected] = 1.0
    searched = loss_under(model, weights, gates, batch(family))
    tensors = model.tensors_of(weights, selected)
    chosen = tuple(model.placed[i].candidate for i in selected)
    model.detach()
    alone = GatedModel(backbone, restore(chosen, backbone))
    trained = loss_under(alone, alone.from_named(tensors), torch.ones(len(chosen)), batch(family))
    torch.testing.assert_close(trained, searched)
    assert alone.named(alone.from_named(tensors)).keys() == tensors.keys()


@pytest.mark.parametrize("method", ["random", "fixed", "full", "saliency"])
def test_methods_that_learn_no_weights_refuse_to_go_on_from_them(root, method):
    with pytest.raises(
        ValidationError, match=r'retrain.start = "searched".*learns none: set retrain.start = "scratch"'
    ):
        run_spec(root / "bert", root / "reviews.jsonl", method=method, retrain={"start": "searched"})


def test_the_paper_starts_from_scratch(root):
    spec = spec_of(root)
    rest = spec.model_dump(exclude={"retrain"})
    paper = RunSpec.model_validate(rest | {"preset": "paper"})
    own = RunSpec.model_validate(rest | {"preset": "paper", "retrain": {"start": "searched"}})
    assert (paper.retrain.start, own.retrain.start) == ("scratch", "searched")


@pytest.mark.parametrize(("method", "start"), [("s3", "searched"), ("bipeft", "searched"), ("random", "scratch")])
def test_by_default_retraining_goes_on_from_learned_weights_where_there_are_any(root, method, start):
    spec = run_spec(root / "bert", root / "reviews.jsonl", method=method)
    assert spec.retrain.start == start
    written = spec.model_dump(mode="json")
    del written["retrain"]["start"]  # as a version wrote it that had no such key
    assert RunSpec.of_file(written).retrain.start == "scratch"


def test_searches_differ_by_all_settings_but_those_of_retraining(root):
    spec = spec_of(root).model_dump(mode="json")
    digest = search_digest(spec)
    for same in ({"retrain": {"max_steps": 1}}, dict(reversed(spec.items()))):
        assert search_digest(spec | same) == digest if "retrain" in same else search_digest(same) == digest
    for other in ({"seed": 9}, {"budget": 299}, {"model": "m"}, {"search": spec["search"] | {"clip": 1.0}}):
        assert search_digest(spec | other) != digest
    assert search_digest(spec | {"device": "cuda:0"}) == search_digest(spec | {"device": "cuda:1"}) != digest
