"""A run that is killed or stopped anywhere ends, when it is started again, as if nothing had happened: bit for bit."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest
import torch
from support import make_run
from workers import STEPS, attempt, checkpoint_files, has_reached, kill_at, make_spec, moments, outcome

from core.run.errors import EXIT_OK
from core.run.events import Checkpoint, Eval, Finished, Phase, Started, Step, read_events
from core.run.rundir import RunDir, read_json, write_json
from core.runtime import device
from core.runtime.device import auto_precision
from core.worker.execute import execute


@pytest.fixture
def finished(tmp_path, root, uninterrupted) -> RunDir:
    """A copy of a finished run of a short spec."""
    done = uninterrupted(make_spec(root, method="random"))
    return RunDir(Path(shutil.copytree(done.path, tmp_path / "copy")))


def test_a_run_killed_at_many_random_moments_ends_bit_for_bit_the_same(tmp_path, root, reference):
    spec = make_spec(root, every=1)
    run = make_run(tmp_path / "run", spec)
    assert kill_at(run, moments(random.Random(0), ("search", "retrain"))) >= 12
    assert attempt(run) == EXIT_OK
    assert outcome(run) == reference(spec)


@pytest.mark.parametrize(("family", "method"), [("t5", "s3"), ("bert", "random"), ("bert", "fixed"), ("bert", "full")])
def test_every_method_and_family_survives_kills(tmp_path, root, reference, family, method):
    spec = make_spec(root, family, method, every=4)
    run = make_run(tmp_path / "run", spec)
    phases = ("search", "retrain") if method == "s3" else ("retrain",)
    assert kill_at(run, islice(moments(random.Random(method), phases), 0, None, 2)) >= 2
    assert attempt(run) == EXIT_OK
    assert outcome(run) == reference(spec)


@pytest.mark.parametrize("family", ["t5", "bert"])
def test_a_killed_run_in_bf16_resumes_bit_for_bit(tmp_path, root, reference, family):
    spec = make_spec(root, family, every=4, precision="bf16")
    run = make_run(tmp_path / "run", spec)
    assert kill_at(run, islice(moments(random.Random(family), ("search", "retrain")), 0, None, 2)) >= 2
    assert attempt(run) == EXIT_OK
    assert outcome(run) == reference(spec)


def test_the_summary_of_a_resumed_run_follows_from_its_events(tmp_path, root, reference):
    """A kill comes up to two seconds after the last summary; what the search said last is not said again later."""
    spec = make_spec(root)
    run = make_run(tmp_path / "run", spec)
    kill_at(run, [lambda worker: has_reached(worker, "retrain", 2)])
    write_json(run.summary, read_json(run.summary) | {"validation_loss": 99.0, "used": 1, "best": 99.0})
    assert attempt(run) == EXIT_OK
    assert outcome(run) == reference(spec)


def other_than(precision: str) -> str:
    return "bf16" if precision == "fp32" else "fp32"


def test_a_run_goes_on_in_its_precision_on_a_processor_that_would_begin_in_the_other(tmp_path, root, monkeypatch):
    run = make_run(tmp_path / "run", make_spec(root, precision="auto"))
    kill_at(run, [lambda worker: has_reached(worker, "retrain", STEPS // 2)])
    here = auto_precision(torch.device("cpu"))[0]
    monkeypatch.setattr(device, "auto_precision", lambda _: (other_than(here), "another processor"))
    assert execute(run) == EXIT_OK
    first, second = (event.precision for event in read_events(run.events)[0] if isinstance(event, Started))
    assert first == second == {"fp32": "float32", "bf16": "bfloat16"}[here]
    assert read_json(run.result)["precision"] == here


def test_a_run_that_begins_anew_takes_the_precision_of_the_processor(tmp_path, root, monkeypatch):
    run = make_run(tmp_path / "run", make_spec(root, precision="auto"))
    kill_at(run, [lambda worker: worker.events and not checkpoint_files(run)])
    other = other_than(auto_precision(torch.device("cpu"))[0])
    monkeypatch.setattr(device, "auto_precision", lambda _: (other, "another processor"))
    assert execute(run) == EXIT_OK
    assert read_json(run.result)["precision"] == other


@pytest.mark.parametrize("name", ["delta", "result"])
def test_a_kill_between_two_results_is_no_harm(tmp_path, root, reference, name):
    spec = make_spec(root)
    run = make_run(tmp_path / "run", spec)
    kill_at(run, [lambda worker: getattr(run, name).exists()])
    assert attempt(run) == EXIT_OK
    assert outcome(run) == reference(spec)


def test_the_command_itself_survives_kills(tmp_path, root, reference):
    """What the other tests fork is started whole here, as `python -m core RUN_DIR`."""
    spec = make_spec(root)
    run = make_run(tmp_path / "run", spec)
    for phase in ("search", "retrain"):
        with subprocess.Popen([sys.executable, "-m", "core", run.path]) as process:
            while not any(isinstance(e, Checkpoint) and e.phase == phase for e in read_events(run.events)[0]):
                with pytest.raises(subprocess.TimeoutExpired):
                    process.wait(0.02)
            process.kill()
        assert process.returncode == -signal.SIGKILL
    assert subprocess.run([sys.executable, "-m", "core", run.path]).returncode == EXIT_OK
    assert outcome(run) == reference(spec)


def test_a_resumed_attempt_says_where_it_goes_on(tmp_path, root):
    run = make_run(tmp_path / "run", make_spec(root, every=5))
    kill_at(run, [lambda worker: has_reached(worker, "search", 12)])
    phase, step = list(checkpoint_files(run))[-1]
    assert attempt(run) == EXIT_OK
    events = read_events(run.events)[0]
    first, second = [e for e in events if isinstance(e, Started)]
    assert (first.attempt, first.resumed_phase, first.resumed_step) == (1, "", 0)
    assert (second.attempt, second.resumed_phase, second.resumed_step) == (2, phase, step)
    after = events[events.index(second) :]
    assert next(e for e in after if isinstance(e, Phase)).phase == "search"
    assert next(e for e in after if isinstance(e, Step)).step == step + 1


def test_the_seconds_of_a_run_are_those_of_all_its_attempts(tmp_path, root):
    run = make_run(tmp_path / "run", make_spec(root, method="random", every=1))
    kill_at(run, [lambda worker: has_reached(worker, "retrain", STEPS)])
    saved = [e for e in read_events(run.events)[0] if isinstance(e, Checkpoint)][-1].t
    started = read_events(run.events)[0][0].t
    assert attempt(run) == EXIT_OK
    seconds = read_json(run.result)["seconds"]
    second_attempt = read_events(run.events)[0][-1].seconds
    assert seconds["total"] >= second_attempt
    assert seconds["total"] + 0.01 >= seconds["search"] + seconds["retrain"]
    assert seconds["total"] >= (saved - started) + second_attempt - 1.0


def test_the_log_tells_phases_evaluations_and_the_end(root, uninterrupted):
    run = uninterrupted(make_spec(root))
    log = run.log.read_text().splitlines()
    events = read_events(run.events)[0]
    assert log[0].startswith("attempt 1 on cpu in ")
    assert [line for line in log if line.endswith(" steps")] == [f"{p}: {STEPS} steps" for p in ("search", "retrain")]
    told = [line.partition(",")[0] for line in log if "validation: " in line]
    assert told == [f"{e.phase} {e.step}/{STEPS}" for e in events if isinstance(e, Eval) and e.split == "validation"]
    assert log[-1].startswith("finished after ")


def test_a_finished_run_is_not_repeated(finished):
    events, delta = finished.events.read_bytes(), finished.delta.stat()
    assert attempt(finished) == EXIT_OK
    assert (finished.events.read_bytes(), finished.delta.stat()) == (events, delta)
    assert "is finished" in finished.log.read_text()


def test_a_run_whose_last_event_was_lost_with_a_kill_is_told_of_once_more(finished):
    before = outcome(finished)
    lines = finished.events.read_bytes().splitlines(keepends=True)
    finished.events.write_bytes(b"".join(lines[:-1]))
    write_json(finished.summary, read_json(finished.summary) | {"status": "running"})
    assert attempt(finished) == EXIT_OK
    told = read_events(finished.events)[0][-1]
    assert isinstance(told, Finished)
    assert told.score == read_json(finished.result)["score"]
    assert outcome(finished) == before
    assert len(finished.events.read_bytes().splitlines()) == len(lines)


def test_a_damaged_result_is_made_again(finished):
    before = outcome(finished)
    for damage in (b'{"score": 0.', b"", b"\0" * 100, b"[]", b'{"spec": "of another run"}'):
        finished.result.write_bytes(damage)
        assert attempt(finished) == EXIT_OK
        assert outcome(finished) == before


def test_a_torn_or_zero_filled_tail_of_the_events_is_no_harm(tmp_path, root, reference):
    spec = make_spec(root)
    run = make_run(tmp_path / "run", spec)
    for step, tail in ((6, b'{"v":1,"type":"step","phase":"sea'), (12, b"\0" * 4096), (18, b"\0" * 100 + b"\n")):
        kill_at(run, [lambda worker, step=step: has_reached(worker, "search", step)])
        with run.events.open("ab") as file:
            file.write(tail)
    assert attempt(run) == EXIT_OK
    assert outcome(run) == reference(spec)
    assert read_events(run.events)[1] >= 3
