"""Whole runs whose structure the trained network cuts: the budget, what they log, kills in the middle of the cut."""

from __future__ import annotations

import signal

import pytest
from support import make_run, run_spec, space
from workers import Worker, attempt, has_reached, kill_at, outcome

from core.run.errors import EXIT_FAILED, EXIT_OK
from core.run.events import Checkpoint, Eval, Gates, Phase, Started, Step, read_events
from core.run.rundir import read_json
from core.run.selection import BY_NETWORK
from core.run.structure import Structure
from core.worker.execute import execute
from s3tui.runs.history import History
from s3tui.structures.selection_history import Choices, rule_of

RANKS = {"attn.{q,v}": ["lora(rank=[1, 2, 4])", "bitfit"], "norm.*": ["lnfit"], "block.ffn": ["low-rank-adapter"]}
BUDGET = 400
SAMPLES = 12


def settings(root, how: str, family: str = "bert", **changes):
    search = {"max_steps": 4, "eval_every": 2, "selection": how, "selection_samples": SAMPLES}
    search |= changes.pop("search", {})
    chosen = {"space": space(RANKS), "budget": BUDGET, "retrain": {"max_steps": 2}, "search": search}
    return run_spec(root / family, root / "reviews.jsonl", **(chosen | changes))


def steps_of_cut(events) -> list[Step]:
    return [e for e in events if isinstance(e, Step) and e.phase == "cut"]


def history_of(events) -> History:
    history = History()
    for event in events:
        history.add(event)
    return history


@pytest.mark.parametrize("how", BY_NETWORK)
@pytest.mark.parametrize(
    ("family", "search"),
    [
        ("bert", {}),
        ("t5", {"gates": "hard"}),
        ("bert", {"gates": "hard", "bilevel": False}),
    ],
)
def test_a_run_cuts_within_the_budget_and_the_app_shows_what_it_has_chosen(tmp_path, root, how, family, search):
    run = make_run(tmp_path / "run", settings(root, how, family, search=search))
    assert execute(run) == EXIT_OK
    events, structure = read_events(run.events)[0], Structure.from_json(read_json(run.structure))
    assert 0 < structure.parameters <= BUDGET
    places = [(c.module, c.choice) for c in structure.chosen if c.choice]
    assert len(places) == len(set(places))

    steps = steps_of_cut(events)
    assert [e.step for e in steps] == list(range(1, len(steps) + 1))
    assert all(e.validation_loss > 0 and 0 < e.selected <= BUDGET for e in steps)
    totals = [e.total for e in events if isinstance(e, Phase) and e.phase == "cut"]
    assert totals[-1] == len(steps)
    assert how != "sampled" or 1 < totals[0] <= SAMPLES
    evaluated = [e for e in events if isinstance(e, Eval) and e.phase == "cut"]
    assert evaluated[0].step == 0
    assert evaluated[-1].step <= len(steps)
    assert list(read_json(run.result)["seconds"]) == ["search", "cut", "retrain", "total"]

    view = history_of(events).view()
    choices = Choices(view.candidates, rule_of(view, read_json(run.spec))).advance(view.frames, 60)
    assert choices[-1].selected == set(structure.selected)
    assert choices[-1].frame.step == 4
    last = [e for e in events if isinstance(e, Gates)][-1]
    assert last.p == [round(p, 6) for p in structure.p]


@pytest.mark.parametrize("how", BY_NETWORK)
def test_a_run_killed_in_the_middle_of_the_cut_ends_bit_for_bit_the_same(tmp_path, root, reference, how):
    """Killed in the search, and four times in the cut, once when nothing but its start is saved."""
    spec = settings(root, how, checkpoint_every=4, eval_batch_size=8)
    run = make_run(tmp_path / "run", spec)
    places = [("search", 3), ("cut", 1), ("cut", 6), ("cut", 7), ("cut", 11)]
    assert kill_at(run, [lambda w, place=place: has_reached(w, *place) for place in places]) == len(places)
    assert attempt(run) == EXIT_OK
    assert outcome(run) == reference(spec)
    events = read_events(run.events)[0]
    assert [e.resumed_phase for e in events if isinstance(e, Started)][2:] == ["cut"] * 4
    view = history_of(events).view()
    assert list(view.phases) == ["search", "cut", "retrain"]
    assert view.selected == Structure.from_json(read_json(run.structure)).selected


def test_a_run_stopped_in_the_cut_saves_it_and_goes_on(tmp_path, root, reference):
    spec = settings(root, "perturbation", checkpoint_every=1000, eval_batch_size=8)
    run = make_run(tmp_path / "run", spec)
    worker = Worker(run)
    assert worker.until(lambda w: has_reached(w, "cut", 5))
    worker.send(signal.SIGTERM)
    assert worker.end() == EXIT_FAILED
    saved = [e for e in read_events(run.events)[0] if isinstance(e, Checkpoint)][-1]
    assert saved.phase == "cut"
    assert saved.step >= 5
    assert attempt(run) == EXIT_OK
    assert outcome(run) == reference(spec)
