"""Whole runs that choose by saliency: what they log, their budget, kills, and a candidate that alone is useful."""

from __future__ import annotations

import shutil

import pytest
import torch
import transformers
from safetensors.torch import load_file
from support import make_run, run_spec, space
from workers import attempt, has_reached, kill_at, outcome

from core.run.errors import EXIT_OK
from core.run.events import Eval, Gates, Phase, Step, read_events
from core.run.rundir import read_json
from core.run.selection import knapsack
from core.run.structure import Structure, choices_of
from core.worker.execute import execute
from s3tui.runs.history import History
from s3tui.structures.selection_history import Choices, rule_of

RANKS = {"attn.{q,v}": ["lora(rank=[1, 2, 4])", "bitfit"], "norm.*": ["lnfit"], "block.ffn": ["low-rank-adapter"]}
PREFIX = {"block.*": ["prefix(length=[1, 2])", "bitfit"]}
BUDGET = 500
HEAD, BATCHES = 4, 5
DIRECTIONS = 2  # batches: a quarter of those that are scored


def settings(root, family: str = "bert", **changes):
    chosen = {"method": "saliency", "space": space(RANKS), "budget": BUDGET, "retrain": {"max_steps": 2}}
    chosen["saliency"] = {"head_steps": HEAD, "batches": BATCHES} | changes.pop("saliency", {})
    return run_spec(root / family, root / "reviews.jsonl", **(chosen | changes))


def finished(folder, spec):
    run = make_run(folder, spec)
    assert execute(run) == EXIT_OK
    return run, read_events(run.events)[0], Structure.from_json(read_json(run.structure))


def total(structure: Structure, chosen) -> float:
    return sum(structure.p[i] for i in chosen)


@pytest.mark.parametrize(
    ("family", "table", "criterion"),
    [("bert", RANKS, "taylor"), ("bert", RANKS, "fisher"), ("t5", "mix-low-rank", "taylor"), ("t5", PREFIX, "fisher")],
)  # fmt: skip
def test_a_run_cuts_the_best_structure_within_the_budget(tmp_path, root, family, table, criterion):
    spec = settings(root, family, space=space(table), saliency={"criterion": criterion})
    _, events, structure = finished(tmp_path, spec)
    assert 0 < structure.parameters <= BUDGET
    modules = [(c.module, c.choice) for c in structure.chosen if c.choice]
    assert len(modules) == len(set(modules))
    costs = [c.parameters for c in structure.candidates]
    best = total(structure, knapsack(structure.p, costs, BUDGET, choices_of(structure.candidates)))
    assert total(structure, structure.selected) == pytest.approx(best)
    assert max(structure.p) == 1

    head = HEAD if family == "bert" else 0  # a T5 answers in words
    steps = [e for e in events if isinstance(e, Step) and e.phase == "search"]
    assert next(e.total for e in events if isinstance(e, Phase)) == head + DIRECTIONS + BATCHES
    assert [e.step for e in steps] == list(range(1, head + DIRECTIONS + BATCHES + 1))
    unscored = head + DIRECTIONS + 1  # p is computed after the second scored batch for the first time
    assert [e.selected for e in steps[:unscored]] == [0] * unscored
    assert all(0 < e.selected <= BUDGET for e in steps[unscored:])
    assert [e.learning_rate > 0 for e in steps] == [True] * head + [False] * (DIRECTIONS + BATCHES)
    assert not [e for e in events if isinstance(e, Eval) and e.phase == "search"]


def test_the_app_selects_what_the_run_has_cut_out(tmp_path, root):
    run, events, structure = finished(tmp_path, settings(root))
    history = History()
    for event in events:
        history.add(event)
    view = history.view()
    choices = Choices(view.candidates, rule_of(view, read_json(run.spec))).advance(view.frames, 60)
    assert choices[-1].frame.step == HEAD + DIRECTIONS + BATCHES
    assert choices[-1].selected == set(structure.selected)
    last = [e for e in events if isinstance(e, Gates)][-1]
    assert last.p == [round(p, 6) for p in structure.p]


@pytest.mark.parametrize("criterion", ["taylor", "fisher"])
def test_a_killed_scoring_ends_bit_for_bit_the_same(tmp_path, root, reference, criterion):
    """Killed while the head is trained, between batches for directions, and between scored ones."""
    own = {"criterion": criterion, "head_steps": 8, "batches": 12}
    spec = settings(root, checkpoint_every=2, saliency=own)
    run = make_run(tmp_path / "run", spec)
    assert kill_at(run, [lambda w, s=s: has_reached(w, "search", s) for s in (4, 10, 17)]) == 3
    assert attempt(run) == EXIT_OK
    assert outcome(run) == reference(spec)


@pytest.mark.parametrize("criterion", ["taylor", "fisher"])
def test_the_only_useful_place_is_chosen(tmp_path, root, criterion):
    """Of a BERT whose other sub-layers add nothing: what stands in them cannot change the loss."""
    folder = tmp_path / "bert"
    shutil.copytree(root / "bert", folder)
    model = transformers.BertForSequenceClassification.from_pretrained(folder)
    first, second = model.bert.encoder.layer
    for layer in (first.attention.output, first.output, second.output):
        layer.dense.weight.data.zero_()
    model.save_pretrained(folder)
    table = {"{attn.v,ffn.in}": ["lora(rank=1)", "bitfit"]}
    spec = settings(tmp_path, space=space(table), budget=96, saliency={"criterion": criterion})
    spec = spec.model_copy(update={"task": settings(root).task})
    _, _, structure = finished(tmp_path / "run", spec)
    useful = {i for i, c in enumerate(structure.candidates) if (c.site, c.layer) == ("attn.v", 1)}
    assert {i for i, p in enumerate(structure.p) if p > 0} == useful == set(structure.selected)
    assert structure.parameters == 96


def test_a_lora_starts_with_the_directions_by_which_it_was_scored(tmp_path, root):
    """With a step of retraining at no rate, what is kept is the start; everything else starts as always."""
    still = {"max_steps": 1, "learning_rate": 1e-30, "weight_decay": 0.0}
    kept = {}
    for start in ("gradient", "random"):
        spec = settings(
            root, space=space({"attn.{q,v}": ["lora(rank=2)"]}), retrain=still, saliency={"lora_start": start}
        )
        run, _, structure = finished(tmp_path / start, spec)
        assert read_json(run.result)["lora_start"] == start
        kept[start] = load_file(run.delta)
    assert structure.selected
    names = [f"{c.module}/{c.delta}/lora_A" for c in structure.chosen]
    assert all(not torch.allclose(kept["gradient"][name], kept["random"][name]) for name in names)
    for name in set(kept["random"]) - set(names):
        torch.testing.assert_close(kept["gradient"][name], kept["random"][name], rtol=0, atol=1e-20)
