"""Every setting of a search in whole runs of a tiny real model: what it does, and that it resumes bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support import make_run, run_spec
from workers import attempt, has_reached, kill_at, outcome

from core.run.errors import EXIT_OK
from core.run.events import EndedEarly, Eval, Event, Phase, Step, read_events
from core.run.rundir import RunDir, read_json
from core.run.spec import RunSpec
from core.run.structure import Structure
from core.worker.execute import execute

BUDGET = 300
ONE_LEVEL = {"bilevel": False}

SETTINGS: dict[str, dict[str, Any]] = {
    "tau-theta": {"strategy": "tau-theta"},
    "tau-theta-paper": {"strategy": "tau-theta", "shift_gradient": "paper", "gates": "hard"},
    "l0": {"strategy": "l0", "l0_lambda": 1e-2},
    "l0-hard": {"strategy": "l0", "l0_lambda": 1e-2, "gates": "hard", "hypergradient": "exact"},
    "stretched": {"stretch_low": -0.2, "stretch_high": 1.3},
    "temperature": {"temperature": 5.0, "final_temperature": 0.5},
    "fresh gates": {"shared_gates": False},
    "one level, l0": ONE_LEVEL | {"strategy": "l0", "l0_lambda": 1e-2},
    "adafactor": {"optimizer": "adafactor"},
    "accumulation": {"gradient_accumulation": 2},
    "checkpointing": {"gradient_checkpointing": True, "hypergradient": "exact"},
}


def finished(folder: Path, spec: RunSpec) -> tuple[RunDir, list[Event]]:
    run = make_run(folder, spec)
    assert execute(run) == EXIT_OK
    return run, read_events(run.events)[0]


def search_steps(events: list[Event]) -> list[Step]:
    return [e for e in events if isinstance(e, Step) and e.phase == "search"]


@pytest.mark.parametrize("name", SETTINGS)
def test_a_search_with_it_ends_with_a_structure_within_the_budget(tmp_path, root, name):
    search = SETTINGS[name] | {"max_steps": 3}
    run, events = finished(
        tmp_path, run_spec(root / "bert", root / "reviews.jsonl", search=search, retrain={"max_steps": 1})
    )
    structure = Structure.from_json(read_json(run.structure))
    assert 0 < structure.parameters <= BUDGET
    assert [e.step for e in search_steps(events)] == [1, 2, 3]
    assert all(e.selected <= BUDGET for e in search_steps(events))


@pytest.mark.parametrize("part", ["optimizer", "gradient_accumulation", "gradient_checkpointing"])
@pytest.mark.parametrize("method", ["random", "full"])
def test_retraining_knows_the_settings_of_all_training(tmp_path, root, part, method):
    value = {"optimizer": "adafactor", "gradient_accumulation": 2, "gradient_checkpointing": True}[part]
    budget = BUDGET if method == "random" else None
    plain, changed = (
        run_spec(root / "t5", root / "reviews.jsonl", method=method, budget=budget, retrain={"max_steps": 2} | retrain)
        for retrain in ({}, {part: value})
    )
    (_, before), (run, after) = finished(tmp_path / "a", plain), finished(tmp_path / "b", changed)
    losses = [[e.train_loss for e in events if isinstance(e, Step)] for events in (before, after)]
    if part == "gradient_checkpointing":
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    else:
        assert losses[0] != losses[1]
    assert read_json(run.result)["parameters"] > 0


def test_the_budget_of_the_gates_falls_from_the_whole_space(tmp_path, root):
    spec = run_spec(root / "bert", root / "reviews.jsonl", search={"budget_decay_steps": 4}, retrain={"max_steps": 1})
    run, events = finished(tmp_path, spec)
    structure = Structure.from_json(read_json(run.structure))
    whole = sum(c.parameters for c in structure.candidates)
    expected = [BUDGET + (whole - BUDGET) * share for share in (1, 0.75, 0.5, 0.25, 0, 0)]
    assert [e.expected for e in search_steps(events)] == pytest.approx(expected, rel=1e-6)
    assert structure.parameters <= BUDGET


def test_one_level_learns_from_all_of_the_training_data(tmp_path, root):
    epoch = {"max_steps": None, "epochs": 1, "eval_every": 100}
    lengths = {}
    for name, settings in (("both", ONE_LEVEL | epoch), ("halves", epoch)):
        spec = run_spec(root / "bert", root / "reviews.jsonl", search=settings, retrain={"max_steps": 1})
        _, events = finished(tmp_path / name, spec)
        lengths[name] = len(search_steps(events))
        assert {e.validation_loss is not None for e in search_steps(events)} == {name == "halves"}
    # 192 of the 240 rows are for training.
    assert lengths == {"both": 24, "halves": 12}


def test_accumulation_makes_fewer_steps_of_an_epoch(tmp_path, root):
    search = {"max_steps": None, "epochs": 1, "eval_every": 100, "gradient_accumulation": 5}
    _, events = finished(
        tmp_path, run_spec(root / "bert", root / "reviews.jsonl", search=search, retrain={"max_steps": 1})
    )
    assert len(search_steps(events)) == 3  # of 12 batches


def test_a_search_whose_structure_no_longer_changes_ends_early_and_says_so(tmp_path, root):
    search = {"max_steps": 50, "eval_every": 2, "patience": 3, "alpha_learning_rate": 1e-300}
    run, events = finished(
        tmp_path, run_spec(root / "bert", root / "reviews.jsonl", search=search, retrain={"max_steps": 2})
    )
    # The evaluation after 2 steps is what those after 4, 6 and 8 are compared with.
    assert [e.step for e in search_steps(events)] == list(range(1, 9))
    ended = [e for e in events if isinstance(e, EndedEarly)]
    why = "the structure stayed the same in 3 evaluations"
    assert [(e.phase, e.step, e.reason) for e in ended] == [("search", 8, why)]
    assert read_json(run.summary)["ended_early"] == 8
    assert [e.phase for e in events if isinstance(e, Phase)] == ["search", "retrain", "test"]


def test_a_search_whose_structure_still_changes_goes_on(tmp_path, root):
    search = {"max_steps": 8, "eval_every": 2, "patience": 3, "alpha_learning_rate": 5.0}
    run, events = finished(
        tmp_path, run_spec(root / "bert", root / "reviews.jsonl", search=search, retrain={"max_steps": 1})
    )
    assert len([e for e in events if isinstance(e, Eval) and e.phase == "search"]) == 4
    assert "ended_early" not in read_json(run.summary)


RESUMED: dict[str, dict[str, Any]] = {
    "two levels": {
        "optimizer": "adafactor", "gradient_accumulation": 2, "shared_gates": False, "budget_decay_steps": 10,
        "temperature": 3.0, "final_temperature": 0.5, "strategy": "tau-theta",
    },
    "one level, early end": ONE_LEVEL | {
        "strategy": "l0", "l0_lambda": 1e-2, "gradient_checkpointing": True, "patience": 2,
        "alpha_learning_rate": 1e-300,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", RESUMED)
def test_a_run_killed_with_these_settings_ends_bit_for_bit_the_same(tmp_path, root, reference, name):
    search = RESUMED[name] | {"max_steps": 14, "eval_every": 4}
    both = {k: v for k, v in search.items() if k in ("optimizer", "gradient_accumulation", "max_steps", "eval_every")}
    spec = run_spec(root / "bert", root / "reviews.jsonl", checkpoint_every=3, search=search, retrain=both)
    run = make_run(tmp_path / "run", spec)
    places = [("search", 8), ("retrain", 7)]
    assert kill_at(run, [lambda w, place=place: has_reached(w, *place) for place in places]) == 2
    assert attempt(run) == EXIT_OK
    assert outcome(run) == reference(spec)
