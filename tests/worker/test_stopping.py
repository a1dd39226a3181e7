"""SIGTERM ends a run where it can be resumed, a second one at once."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from support import make_run, run_spec
from workers import EVAL_EVERY, STEPS, Worker, attempt, has_reached, make_spec, outcome

from core.run.errors import EXIT_FAILED, EXIT_OK, StoppedError
from core.run.events import Checkpoint, Eval, Failed, Started, Step, read_events
from core.run.rundir import read_json
from core.runtime.stop_signal import Stop

MOMENTS = {
    "in a search": lambda w: has_reached(w, "search", 8),
    "in the last evaluation of a search": lambda w: has_reached(w, "search", STEPS),
    "in retraining": lambda w: has_reached(w, "retrain", 8),
    "in an evaluation of retraining": lambda w: has_reached(w, "retrain", EVAL_EVERY),
    "while it loads": lambda w: bool(w.events),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_stopped_run_goes_on_as_if_it_had_not_been(tmp_path, root, reference, moment):
    spec = make_spec(root, every=10)
    run = make_run(tmp_path / "run", spec)
    worker = Worker(run)
    assert worker.until(MOMENTS[moment])
    worker.send(signal.SIGTERM)
    assert worker.end() == EXIT_FAILED
    events = read_events(run.events)[0]
    assert isinstance(events[-1], Failed)
    assert events[-1].kind == "stopped"
    assert read_json(run.summary)["status"] == "failed"
    assert "Traceback" not in run.log.read_text()
    if steps := [e for e in events if isinstance(e, Step)]:
        checkpoint = events[-2]
        assert isinstance(checkpoint, Checkpoint)
        assert checkpoint.step in (steps[-1].step, 0)

    assert attempt(run) == EXIT_OK
    assert outcome(run) == reference(spec)
    if steps:
        resumed = [e for e in read_events(run.events)[0] if isinstance(e, Started)][-1]
        assert (resumed.resumed_phase, resumed.resumed_step) == (checkpoint.phase, checkpoint.step)


def test_a_long_evaluation_is_abandoned_and_done_again(tmp_path, root):
    spec = make_spec(root)
    run = make_run(tmp_path / "run", spec)
    worker = Worker(run)
    assert worker.until(lambda w: has_reached(w, "search", EVAL_EVERY))
    worker.send(signal.SIGTERM)
    assert worker.end() == EXIT_FAILED
    told = len([e for e in read_events(run.events)[0] if isinstance(e, Eval)])
    assert attempt(run) == EXIT_OK
    evaluations = [(e.phase, e.step) for e in read_events(run.events)[0] if isinstance(e, Eval)]
    assert told in (0, 1)
    assert len(evaluations) == len(set(evaluations)) == 2 * STEPS // EVAL_EVERY + 1


def catches_sigterm(pid: int) -> bool:
    """Whether a process has a handler for SIGTERM, as the kernel knows it."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def test_a_second_signal_ends_a_long_step_at_once(tmp_path, root):
    search = {"max_steps": 2, "eval_every": 2, "batch_size": 96, "hypergradient": "exact"}
    run = make_run(tmp_path / "run", run_spec(root / "t5", root / "reviews.jsonl", search=search))
    worker = Worker(run)
    assert worker.until(lambda w: has_reached(w, "search", 1))
    worker.send(signal.SIGTERM)
    assert worker.until(lambda w: not catches_sigterm(w.process.pid))
    worker.send(signal.SIGTERM)
    assert worker.end() == -signal.SIGTERM
    assert attempt(run) == EXIT_OK


@pytest.fixture
def stop():
    """A Stop that listens in this process, until the test is over."""
    before = signal.getsignal(signal.SIGTERM)
    stop = Stop()
    stop.listen()
    yield stop
    signal.signal(signal.SIGTERM, before)


def test_before_the_first_step_a_signal_ends_the_run_where_it_is(stop):
    with pytest.raises(StoppedError, match="resumes from its last checkpoint"):
        signal.raise_signal(signal.SIGTERM)
    assert stop.asked


def test_later_a_signal_is_noted_and_the_next_is_the_kernels(stop):
    stop.check()
    stop.wait_for_steps()
    signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    with pytest.raises(StoppedError):
        stop.check()
