"""BIPEFT: the rules of pruning by hand, the gates it draws, and whole searches of tiny real models."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support import batch, build, loss_under, make_run, run_spec, space
from workers import attempt, has_reached, kill_at, outcome

from core.model.backbone import load_backbone
from core.model.gated import GatedModel
from core.model.layout import HEAD
from core.model.space import place
from core.run.errors import EXIT_OK
from core.run.events import EndedEarly, Step, read_events
from core.run.rundir import read_json
from core.run.structure import Structure
from core.search.methods.bipeft.positions import Positions
from core.search.methods.bipeft.pruning import is_steady, similarity, to_fix, to_prune, within_budget
from core.search.methods.bipeft.searcher import Bipeft
from core.tasks import load_task
from core.training.data import encode
from core.training.setup import Setup
from core.worker.execute import execute
from s3tui.runs.history import History
from s3tui.runs.verdicts import verdict_of
from s3tui.runs.workspace import read_run
from s3tui.structures.selection_history import Choices, rule_of

RANKS = {"attn.{q,v}": ["lora(rank=[1, 2, 4])", "bitfit"], "norm.*": ["lnfit"], "block.ffn": ["low-rank-adapter"]}
BUDGET = 500


def test_the_most_sensitive_within_the_budget_skip_what_is_pruned_or_too_large():
    sensitivity, sizes = [5.0, 4.0, 3.0, 2.0, 1.0], [10, 90, 60, 30, 1]
    assert within_budget(sensitivity, sizes, [False] * 5, 100) == [True, True, False, False, False]
    assert within_budget(sensitivity, sizes, [True, False, False, False, False], 100) == [
        False,
        True,
        False,
        False,
        True,
    ]


def test_similarity_is_the_cosine():
    assert similarity([True, True, False], [True, True, False]) == pytest.approx(1)
    assert similarity([True, True, False], [False, True, True]) == pytest.approx(0.5)
    assert similarity([True, False, False, False], [True, True, True, True]) == pytest.approx(0.5)
    assert similarity([False, False], [True, True]) == 0


def test_steady_is_a_mean_over_the_whole_window():
    now, same, other = [True, True, False], [True, True, False], [False, True, True]
    assert not is_steady(now, [same] * 4, 5, 0.85)
    assert is_steady(now, [other, other, same, same, same, same], 5, 0.85)  # (4 + 1/2) / 5
    assert not is_steady(now, [same, same, same, other, other], 5, 0.85)


def test_a_pruning_takes_its_share_of_the_least_sensitive():
    expected, nothing = [40.0, 30.0, 20.0, 10.0], [False] * 4
    # (100 - 40) / 3 = 20: the 10 and then nothing more but what fits into the other 10.
    assert to_prune([4, 3, 2, 1], expected, nothing, 40, left=3) == [3]
    assert to_prune([1, 2, 3, 4], expected, nothing, 40, left=3) == [2]
    # Where nothing is as small, the least sensitive goes all the same.
    assert to_prune([1, 2, 3, 4], expected, nothing, 40, left=100) == [0]
    assert to_prune([1, 2, 3, 4], expected, nothing, 100, left=3) == []
    assert to_prune([1, 2, 3, 4], expected, [False, False, True, True], 40, left=1) == [1]


def test_the_most_stable_ranks_are_fixed_and_in_the_end_all():
    wavering, fixed = [0.4, 0.1, 0.3, 0.2], [False, False, False, False]
    assert to_fix(wavering, fixed, same=1.0, left=2) == [1, 3]
    assert to_fix(wavering, fixed, same=0.6, left=2) == [1]
    assert to_fix(wavering, [False, True, False, False], same=1.0, left=3) == [3]
    assert to_fix(wavering, [False, True, False, False], same=0.0, left=1) == [3, 2, 0]


@pytest.fixture(scope="module")
def model() -> GatedModel:
    backbone = build("bert")
    return GatedModel(backbone, place(space(RANKS), backbone), ["classifier.weight", "classifier.bias"])


def test_positions_are_choices_and_candidates_that_stand_alone(model):
    at = Positions(model)
    names = [p.candidate.delta for p in model.placed]
    assert at.count == 4 * 2 + 4 + 2  # LoRA and BitFit on q and v of two layers, the norms, the adapters
    assert at.several.sum() == 4
    ones = torch.ones(len(names))
    assert sorted(at.sums(ones).tolist()) == [1] * 10 + [3] * 4
    assert at.size.sum().item() == sum(
        p.candidate.parameters for p in model.placed if p.candidate.delta not in ("lora(rank=1)", "lora(rank=2)")
    )
    logits = torch.randn(len(names), generator=torch.Generator().manual_seed(0))
    for table in (at.softmax(logits), at.best(logits)):
        torch.testing.assert_close(at.sums(table), torch.ones(at.count))
    for k in range(at.count):
        members = (at.of == k).nonzero().flatten()
        torch.testing.assert_close(at.softmax(logits)[members], logits[members].softmax(0))
        assert at.best(logits)[members].argmax() == logits[members].argmax()


def test_sensitivities_come_from_the_weights_of_each_position(model):
    at, place_ = Positions(model), torch.Generator().manual_seed(1)
    one, other = (torch.randn(model.layout.size, generator=place_) for _ in range(2))
    sums, cosines = at.magnitudes(one), at.cosines(one, other)
    for k in range(at.count):
        parts = [
            (a.flatten(), b.flatten())
            for slot, a, b in zip(
                model.layout.slots, model.layout.tensors(one), model.layout.tensors(other), strict=True
            )
            if slot.owner != HEAD and at.of[slot.owner] == k
        ]
        assert sums[k].item() == pytest.approx(sum(a.abs().sum().item() for a, _ in parts), rel=1e-5)
        expected = [torch.cosine_similarity(a, b, 0).item() for a, b in parts]
        assert cosines[k].item() == pytest.approx(sum(expected) / len(expected), abs=1e-6)
    first, last = (torch.randn(len(model.placed), generator=place_) for _ in range(2))
    for k in at.several.nonzero().flatten().tolist():
        members = (at.of == k).nonzero().flatten()
        expected = torch.nn.functional.kl_div(
            first[members].log_softmax(0), last[members].log_softmax(0), reduction="sum", log_target=True
        )
        assert at.divergence(first, last)[k].item() == pytest.approx(expected.item(), rel=1e-4, abs=1e-6)


def test_a_position_alone_has_the_gradients_of_a_gate(model):
    """Gates of ranks reach the weights that they share, so that sensitivities are of the position as a whole."""
    gates = torch.zeros(len(model.placed))
    chosen = next(i for i, p in enumerate(model.placed) if p.candidate.delta == "lora(rank=2)")
    gates[chosen] = 1.0
    weights = model.initial_weights(0).requires_grad_()
    (gradient,) = torch.autograd.grad(loss_under(model, weights, gates, batch("bert")), weights)
    at = Positions(model)
    touched = at.magnitudes(gradient).nonzero().flatten().tolist()
    assert touched == [at.of[chosen].item()]


SHORT = {"temperature": 2.0, "stability": 0.0, "window": 2, "pruning_steps": 6, "prune_after": 1}


def finished(folder, root, family: str = "bert", table: dict[str, list[str]] | str = RANKS, **changes: Any):
    search = {"max_steps": 24, "eval_every": 8, "alpha_learning_rate": 0.05} | changes.pop("search", {})
    settings = {"method": "bipeft", "space": space(table), "budget": BUDGET, "bipeft": SHORT}
    settings["retrain"] = {"max_steps": 2}
    spec = run_spec(root / family, root / "reviews.jsonl", search=search, **(settings | changes))
    run = make_run(folder, spec)
    assert execute(run) == EXIT_OK
    return run, read_events(run.events)[0], Structure.from_json(read_json(run.structure))


@pytest.mark.parametrize(("family", "table"), [("bert", RANKS), ("t5", "mix-low-rank")])
def test_a_search_prunes_the_space_to_a_structure_within_the_budget(tmp_path, root, family, table):
    run, events, structure = finished(tmp_path, root, family, table)
    assert 0 < structure.parameters <= BUDGET
    modules = [(c.module, c.choice) for c in structure.chosen if c.choice]
    assert len(modules) == len(set(modules))
    steps = [e for e in events if isinstance(e, Step) and e.phase == "search"]
    assert [e.step for e in steps] == list(range(1, len(steps) + 1))
    assert all(e.selected <= BUDGET for e in steps)
    assert all(e.validation_loss is not None and e.shift is None for e in steps)
    # One step is not looked at, two make a window; then there is a pruning at each.
    assert len(steps) == 1 + 2 + 6
    (ended,) = [e for e in events if isinstance(e, EndedEarly)]
    assert (ended.step, ended.reason) == (9, "all of the 6 prunings are done")
    assert steps[-1].expected < steps[1].expected
    left = {(c.module, c.choice or c.delta) for c, p in zip(structure.candidates, structure.p, strict=True) if p > 0}
    assert {(c.module, c.choice or c.delta) for c in structure.chosen} <= left
    assert len(left) < len({(c.module, c.choice or c.delta) for c in structure.candidates})
    found = verdict_of(read_run(run, "it"))
    assert (found.word, found.numbers["prunings_left"]) == ("pruned", 0)


@pytest.mark.parametrize("method", ["bipeft", "s3"])
def test_the_app_selects_after_each_step_what_the_run_would_have_cut_out(tmp_path, root, method):
    run, events, structure = finished(tmp_path, root, method=method)
    history = History()
    for event in events:
        history.add(event)
    view = history.view()
    told = {e.step: e.selected for e in events if isinstance(e, Step) and e.phase == "search"}
    choices = Choices(view.candidates, rule_of(view, read_json(run.spec))).advance(view.frames, 60)
    assert {c.frame.step: c.parameters for c in choices} == {c.frame.step: told[c.frame.step] for c in choices}
    assert choices  # the gates are logged a few times a second, and a fast machine has done soon
    for choice in choices:
        modules = [(c.module, c.choice) for i in choice.selected if (c := view.candidates[i]).choice]
        assert len(modules) == len(set(modules))
    if method == "bipeft":  # S3 takes the p of its best evaluation
        assert choices[-1].selected == set(structure.selected)


def test_ranks_are_fixed_by_the_last_pruning_and_only_one_of_each_choice_is_left(tmp_path, root):
    _, _, structure = finished(tmp_path, root)
    by_module: dict[str, list[float]] = {}
    for candidate, p in zip(structure.candidates, structure.p, strict=True):
        if candidate.choice:
            by_module.setdefault(candidate.module, []).append(p)
    assert all(sum(value > 0 for value in p) <= 1 for p in by_module.values())


def test_a_search_that_never_steadies_takes_all_its_steps_and_still_keeps_the_budget(tmp_path, root, capfd):
    run, events, structure = finished(
        tmp_path, root, bipeft=SHORT | {"prune_after": 100}, search={"max_steps": 5}, budget=100
    )
    assert [e.step for e in events if isinstance(e, Step) and e.phase == "search"] == [1, 2, 3, 4, 5]
    assert not [e for e in events if isinstance(e, EndedEarly)]
    assert 0 < structure.parameters <= 100
    assert all(p > 0 for p in structure.p)
    found = verdict_of(read_run(run, "it"))
    assert found.word == "unfinished"
    assert str(found).startswith("unfinished: 6 prunings left undone, ")
    assert found.numbers["prunings_left"] == 6
    log = capfd.readouterr().err.splitlines()  # which is its log.txt
    assert f"search {found}" in log
    assert any(line.startswith("structure: ") and "; 6 prunings left undone" in line for line in log)


def test_gates_of_positions_and_of_ranks_move_in_turn(root):
    spec = run_spec(root / "bert", root / "reviews.jsonl", method="bipeft", space=space(RANKS), budget=BUDGET)
    cpu = torch.device("cpu")
    backbone = load_backbone(spec.model, 2, False, cpu, torch.float32, 0)
    placed = place(spec.space, backbone.model)
    data = encode(load_task(spec.task, 0), backbone, cpu)
    model = GatedModel(backbone.model, placed, backbone.head)
    searcher = Bipeft(Setup(spec, backbone, data, placed, BUDGET, "fp32"), model, BUDGET)
    state, moved = searcher.start(None), []
    for _ in range(4):
        before = state
        state, _ = searcher.step(state)
        moved.append([n for n in ("binary", "ranks") if not torch.equal(getattr(state, n), getattr(before, n))])
        assert not torch.equal(state.weights, before.weights)
    # At first no delta does anything, and no gate has a gradient.
    assert moved[2:] == [["binary"], ["ranks"]]
    assert "ranks" not in moved[0]
    assert "binary" not in moved[1]


def test_a_killed_search_ends_bit_for_bit_the_same(tmp_path, root, reference):
    spec = run_spec(
        root / "bert", root / "reviews.jsonl", method="bipeft", space=space(RANKS), budget=BUDGET, checkpoint_every=2,
        bipeft=SHORT | {"pruning_steps": 8}, search={"max_steps": 24, "eval_every": 6, "optimizer": "adafactor"},
    )  # fmt: skip
    run = make_run(tmp_path / "run", spec)
    assert kill_at(run, [lambda w, s=s: has_reached(w, "search", s) for s in (4, 7)]) == 2
    assert attempt(run) == EXIT_OK
    assert outcome(run) == reference(spec)
