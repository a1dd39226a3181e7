"""The manager with the true worker and a tiny model: stopped, resumed and killed on its way to a result."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from processes import DEADLINE, kill, wait_until
from support import save_model, save_reviews

from core.run.events import Checkpoint, Started, Step, read_events
from core.run.rundir import read_json
from s3tui.runs.records.process import read_exit, read_process
from s3tui.runs.status import Paused
from s3tui.runs.workspace import read_run

SUITE = """
[suite]
name = "first"
threads = 1
[defaults]
model = "model"
task = { path = "reviews.jsonl", text = "text", label = "label", max_length = 24 }
space = "mix-low-rank"
budget = 300
checkpoint_every = 5
[defaults.search]
max_steps = 40
eval_every = 20
batch_size = 8
[defaults.retrain]
max_steps = 60
eval_every = 20
batch_size = 8
[experiment.disturbed]
"""


@pytest.fixture
def folder(tmp_path, workspace):
    save_model("bert", tmp_path / "model")
    save_reviews(tmp_path / "reviews.jsonl")
    (tmp_path / "suite.toml").write_text(SUITE)
    return tmp_path


def s3tui(folder, *arguments):
    command = [Path(sys.executable).with_name("s3tui"), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=4 * DEADLINE)
    assert "Traceback" not in done.stderr
    return done


def events_of(directory, kind):
    return [event for event in read_events(directory.events)[0] if isinstance(event, kind)]


def test_a_run_that_is_stopped_and_killed_ends_with_a_result_and_loses_no_step(folder, workspace):
    assert s3tui(folder, "run", "suite.toml", "--detach", "--only", "disturbed").returncode == 0
    directory = workspace.run("first/disturbed")
    wait_until(lambda: len(events_of(directory, Step)) > 3)
    stopped = s3tui(folder, "stop", "disturbed")
    assert stopped.returncode == 0, stopped.stderr
    status = read_run(directory, "first/disturbed").status
    assert status == Paused("stopped on demand")
    assert read_exit(directory).asked == "stop"
    assert events_of(directory, Checkpoint)

    assert s3tui(folder, "resume", "disturbed").returncode == 0
    attach = [sys.executable, "-m", "s3tui", "attach"]
    dispatcher = subprocess.Popen(attach, cwd=folder, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: len(events_of(directory, Started)) == 2)
    reached = len(events_of(directory, Step))
    wait_until(lambda: len(events_of(directory, Step)) > reached + 3)
    kill(read_process(directory).worker.pid, signal.SIGKILL)
    _, err = dispatcher.communicate(timeout=4 * DEADLINE)
    assert dispatcher.returncode == 0
    assert "start 1 of 10 after a kill: the worker was ended by SIGKILL" in err
    assert read_run(directory, "first/disturbed").status.name == "finished"

    attempts = events_of(directory, Started)
    assert [attempt.attempt for attempt in attempts] == [1, 2, 3]
    assert all(attempt.resumed_phase for attempt in attempts[1:])
    told = {(step.phase, step.step) for step in events_of(directory, Step)}
    assert told == {("search", n) for n in range(1, 41)} | {("retrain", n) for n in range(1, 61)}
    assert read_json(directory.summary)["status"] == "finished"
