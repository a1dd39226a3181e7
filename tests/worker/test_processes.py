"""A run that several processes share finds what one finds, ends as one ends, and leaves none of them behind."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support import BAD, GOOD, NEUTRAL, make_run, run_spec, save_model, space
from workers import DEADLINE, Worker, attempt, has_reached, make_spec, outcome

from core.run.errors import EXIT_FAILED, EXIT_OK, EXIT_USAGE
from core.run.events import Eval, Event, Failed, Started, Step, read_events
from core.run.rundir import RunDir, read_json
from core.run.selection import BY_NETWORK
from core.run.structure import Structure

TWO = 2
# Dropout draws other masks for parts of a batch than for the whole, so that only without it both learn the same.
NO_DROPOUT = ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout_rate")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Models without dropout, and texts whose labels are of one word and of three."""
    folder = tmp_path_factory.mktemp("shared")
    for family in ("bert", "t5", "gpt2"):
        config = save_model(family, folder / family) / "config.json"
        known = json.loads(config.read_text())
        plain = known | {k: 0.0 for k in known if k in NO_DROPOUT or k.endswith("_pdrop")}
        config.write_text(json.dumps(plain))
    draw = random.Random(0)
    rows = []
    for i in range(160):
        words = draw.choices(GOOD if i % 2 else BAD, k=3) + draw.choices(NEUTRAL, k=draw.randrange(1, 6))
        rows.append({"text": " ".join(words), "label": ("the very bad", "good")[i % 2]})
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def others(worker: Worker) -> list[int]:
    """The processes that a worker has started."""
    pid = worker.process.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + DEADLINE
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline, "a process was left behind"
        time.sleep(0.01)


def numbers(run: RunDir) -> dict[tuple[str, int], tuple[float, ...]]:
    """What the steps told: losses, norms, parameters."""
    told: dict[tuple[str, int], tuple[float, ...]] = {}
    for event in read_events(run.events)[0]:
        if isinstance(event, Step):
            values = (event.train_loss, event.validation_loss, event.gradient_norm, event.alpha_gradient_norm)
            told[event.phase, event.step] = tuple(value for value in values if value is not None)
    return told


WITHOUT_KEYS = space({"attn.o": ["lora(rank=1)", "bitfit"], "ffn.*": ["bitfit"], "norm.*": ["lnfit"]})


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("bert", {}),
        ("bert", {"method": "bipeft"}),
        ("bert", {"method": "saliency"}),
        ("bert", {"method": "saliency", "saliency": {"criterion": "fisher"}}),
        ("t5", {"search": {"hypergradient": "forward-difference", "gradient_accumulation": 2}}),
        # No bias of keys: its gradient is rounding alone, which Adafactor scales up and clips the others by.
        ("gpt2", {"retrain": {"optimizer": "adafactor"}, "space": WITHOUT_KEYS}),
    ],
    ids=["bert", "bipeft", "taylor", "fisher", "t5", "gpt2"],
)
def test_two_processes_find_what_one_finds(tmp_path, place, family, changes):
    sizes = {name: {"batch_size": 7} | changes.get(name, {}) for name in ("search", "retrain")}
    spec = run_spec(place / family, place / "rows.jsonl", **changes | sizes)
    alone, shared = (make_run(tmp_path / name, spec) for name in ("alone", "shared"))
    assert attempt(alone) == EXIT_OK
    assert attempt(shared, processes=TWO) == EXIT_OK

    structures = [Structure.from_json(read_json(run.structure)) for run in (alone, shared)]
    assert structures[0].selected == structures[1].selected
    torch.testing.assert_close(torch.tensor(structures[0].p), torch.tensor(structures[1].p), rtol=5e-3, atol=1e-3)
    steps = [numbers(run) for run in (alone, shared)]
    assert steps[0].keys() == steps[1].keys()
    for (phase, step), values in steps[0].items():
        # A finite difference divides what the order of a sum rounds by a small number, and each step starts from that.
        rtol = 0.1 if phase == "search" and step > 1 else 1e-3
        torch.testing.assert_close(torch.tensor(values), torch.tensor(steps[1][phase, step]), rtol=rtol, atol=1e-4)
    deltas = [load_file(run.delta) for run in (alone, shared)]
    assert deltas[0].keys() == deltas[1].keys()
    for name, tensor in deltas[0].items():
        torch.testing.assert_close(tensor, deltas[1][name], rtol=1e-2, atol=1e-3)
    assert read_json(alone.result)["score"] == pytest.approx(read_json(shared.result)["score"], abs=0.07)


@pytest.mark.parametrize("how", BY_NETWORK)
def test_two_processes_ask_the_network_what_one_asks(tmp_path, place, how):
    """With p as it was at first, so that the first trials are the same; the others depend on the order of losses."""
    search = {"selection": how, "selection_samples": 8, "alpha_learning_rate": 1e-300, "max_steps": 3, "eval_every": 3}
    spec = run_spec(place / "bert", place / "rows.jsonl", search=search, retrain={"max_steps": 2})
    losses = []
    for processes in (1, TWO):
        run = make_run(tmp_path / str(processes), spec)
        assert attempt(run, processes=processes) == EXIT_OK
        assert Structure.from_json(read_json(run.structure)).parameters <= 300
        cut = [e.validation_loss for e in read_events(run.events)[0] if isinstance(e, Step) and e.phase == "cut"]
        losses.append(torch.tensor(cut[:5], dtype=torch.float64))
    torch.testing.assert_close(*losses, rtol=1e-2, atol=1e-3)


@pytest.fixture(scope="module")
def whole(root, tmp_path_factory) -> RunDir:
    """An uninterrupted run of two processes, with dropout."""
    run = make_run(tmp_path_factory.mktemp("whole") / "run", make_spec(root))
    assert attempt(run, processes=TWO) == EXIT_OK
    return run


def test_events_and_files_are_of_one_process_alone(whole):
    events = read_events(whole.events)[0]
    assert [event.seq for event in events] == list(range(len(events)))
    assert sum(isinstance(event, Started) for event in events) == 1
    told: list[Event] = [event for event in events if isinstance(event, (Step, Eval))]
    assert len({(e.type, e.phase, e.step) for e in told}) == len(told)  # type: ignore[attr-defined]
    assert "Traceback" not in whole.log.read_text()


@pytest.mark.parametrize("phase", ["search", "retrain"])
def test_a_shared_run_that_is_stopped_goes_on_as_if_it_had_not_been(tmp_path, root, whole, phase):
    run = make_run(tmp_path / "run", make_spec(root, every=10))
    worker = Worker(run, processes=TWO)
    assert worker.until(lambda w: has_reached(w, phase, 7))
    helpers = others(worker)
    worker.send(signal.SIGTERM)
    assert worker.end() == EXIT_FAILED
    wait_until_gone(helpers)
    failed = read_events(run.events)[0][-1]
    assert isinstance(failed, Failed)
    assert failed.kind == "stopped"
    assert attempt(run, processes=TWO) == EXIT_OK
    mine, its = outcome(run), outcome(whole)
    for differs in ("result", "summary"):  # of another checkpoint_every
        mine.pop(differs), its.pop(differs)
    assert mine == its


def test_a_shared_run_may_go_on_in_one_process(tmp_path, root):
    run = make_run(tmp_path / "run", make_spec(root, every=2))
    worker = Worker(run, processes=TWO)
    assert worker.until(lambda w: has_reached(w, "search", 5))
    worker.send(signal.SIGKILL)
    worker.end()
    assert attempt(run) == EXIT_OK
    started = [event for event in read_events(run.events)[0] if isinstance(event, Started)][-1]
    assert (started.resumed_phase, started.resumed_step) == ("search", 4)


def test_a_process_that_is_killed_ends_the_run_as_failed(tmp_path, root):
    run = make_run(tmp_path / "run", make_spec(root))
    worker = Worker(run, processes=TWO)
    assert worker.until(lambda w: has_reached(w, "search", 3))
    (helper,) = others(worker)
    os.kill(helper, signal.SIGKILL)
    assert worker.end() == EXIT_FAILED
    wait_until_gone([helper])
    failed = read_events(run.events)[0][-1]
    assert isinstance(failed, Failed)
    assert failed.kind == "crash"
    assert "one of the 2 processes of the run died" in failed.message


def test_a_worker_that_is_killed_takes_the_others_with_it(tmp_path, root):
    worker = Worker(make_run(tmp_path / "run", make_spec(root)), processes=TWO)
    assert worker.until(lambda w: has_reached(w, "search", 3))
    helpers = others(worker)
    assert len(helpers) == 1
    worker.send(signal.SIGKILL)
    assert worker.end() == -signal.SIGKILL
    wait_until_gone(helpers)


def test_batches_too_small_to_share_are_refused(tmp_path, place):
    run = make_run(tmp_path / "run", run_spec(place / "bert", place / "rows.jsonl", retrain={"batch_size": 1}))
    assert attempt(run, processes=TWO) == EXIT_USAGE
    failed = read_events(run.events)[0][-1]
    assert isinstance(failed, Failed)
    assert "batches of 1 cannot be shared by 2 processes" in failed.message
