"""Real searches of a tiny model on a real cluster: to their results, and on after whatever a cluster does to jobs."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from processes import wait_until
from support import save_model, save_reviews

from core.run.events import Checkpoint, Started, Step, read_events
from core.run.rundir import read_json
from s3tui.runs.records.job import read_job
from s3tui.runs.records.process import read_process
from s3tui.runs.workspace import Workspace, find_runs

SUITE = """
[suite]
name = "first"
threads = 1
workspace = "{workspace}"
[launcher]
kind = "auto"
partition = "main"
cpus = 1
time = "30"
setup = ["export SET_UP=yes", "echo set up"]
sbatch = {{ comment = "a tiny search" }}
[defaults]
model = "model"
task = {{ path = "reviews.jsonl", text = "text", label = "label", max_length = 24 }}
space = "mix-low-rank"
budget = 300
checkpoint_every = 5
[defaults.search]
max_steps = 20
eval_every = 10
batch_size = 8
[defaults.retrain]
max_steps = 10
eval_every = 10
batch_size = 8
[experiment.searched]
matrix = {{ seed = [0, 1, 2, 3] }}
"""
CALM, REQUEUED, TIMED, LOST = (f"first/searched/seed={seed}" for seed in range(4))


def events_of(directory, kind):
    return [event for event in read_events(directory.events)[0] if isinstance(event, kind)]


def is_asked_to_end(pid):
    """Whether SIGTERM waits for a process that is stopped."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    pending = next(line for line in lines if line.startswith("ShdPnd")).split()[1]
    return bool(int(pending, 16) & 1 << (signal.SIGTERM - 1))


def stop_those_that_saved(runs, names, stopped):
    """Stop each worker that has left a checkpoint; whether all have."""
    for name in names - stopped.keys():
        if events_of(runs.run(name), Checkpoint):
            stopped[name] = read_process(runs.run(name))
            os.kill(stopped[name].worker.pid, signal.SIGSTOP)
    return len(stopped) == len(names)


def start(folder, *arguments):
    command = [sys.executable, "-m", "s3tui", "run", *arguments]
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True, start_new_session=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("array")
    save_model("bert", folder / "model")
    save_reviews(folder / "reviews.jsonl")
    for where in ("slurm", "local"):
        (folder / f"{where}.toml").write_text(SUITE.format(workspace=where))
    return folder


@pytest.fixture(scope="module")
def disturbed(folder, cluster):
    """A matrix of four, three of which the cluster takes away in the middle: the ids it began with, how it ended."""
    started = start(folder, "slurm.toml")
    local = None
    runs = Workspace(folder / "slurm")
    try:
        wait_until(lambda: (job := read_job(runs.run(LOST))) is not None and job.id)
        jobs = {name: read_job(runs.run(name)).id for name in (CALM, REQUEUED, TIMED, LOST)}
        # Each is stopped where it is, so that it cannot end before what is to happen has happened.
        workers = {}
        wait_until(lambda: stop_those_that_saved(runs, {REQUEUED, TIMED, LOST}, workers))
        assert cluster.ask("scontrol", "update", f"JobId={jobs[TIMED]}", "TimeLimit=1").returncode == 0
        supervisor = workers[LOST].supervisor.pid
        step = int(Path(f"/proc/{supervisor}/stat").read_text().rpartition(")")[2].split()[1])
        node = workers[LOST].where.split()[2]
        cluster.crash_node(node, [step, supervisor, workers[LOST].worker.pid])
        assert cluster.ask("scontrol", "requeue", jobs[REQUEUED]).returncode == 0
        local = start(folder, "local.toml", "--launcher", "local", "--only", "searched/seed=[123]")
        # Before a requeue Slurm itself lets go on what is stopped; its warning goes to the supervisor alone.
        wait_until(lambda: is_asked_to_end(workers[TIMED].worker.pid))
        os.kill(workers[TIMED].worker.pid, signal.SIGCONT)
        wait_until(lambda: read_job(runs.run(TIMED)).waits)
        cluster.ask("scontrol", "update", f"JobId={jobs[TIMED]}", "TimeLimit=30")
        _, err = started.communicate(timeout=180)
        assert local.wait(timeout=180) == 0
        yield runs, jobs, started.returncode, err
        cluster.start_node(node)
    finally:
        for process in filter(None, (started, local)):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        cluster.ask("scancel", "--me")


@pytest.fixture(scope="module")
def undisturbed(folder, disturbed):
    """The same runs on this machine, by the same file."""
    return Workspace(folder / "local")


def test_a_matrix_becomes_one_array_and_comes_to_its_results(disturbed):
    runs, ids, code, err = disturbed
    assert code == 0, err
    assert len({id.partition("_")[0] for id in ids.values()}) == 1
    assert [id.partition("_")[2] for id in ids.values()] == ["0", "1", "2", "3"]
    assert [run.status.name for run in find_runs(runs.path)] == ["finished"] * 4
    job = read_job(runs.run(CALM))
    assert (job.state, job.exit_code, job.restarts) == ("COMPLETED", "0:0", 0)
    assert read_process(runs.run(CALM)).where == f"slurm {job.id} {job.node}"
    assert "set up" in runs.run(CALM).log.read_text()


@pytest.mark.parametrize("name", [REQUEUED, TIMED, LOST], ids=["requeued", "out of time", "node lost"])
def test_what_a_cluster_does_to_a_run_changes_no_bit_of_its_result(disturbed, undisturbed, name):
    there, here = disturbed[0].run(name), undisturbed.run(name)
    assert there.structure.read_bytes() == here.structure.read_bytes()
    assert there.delta.read_bytes() == here.delta.read_bytes()
    assert read_json(there.result)["metrics"] == read_json(here.result)["metrics"]
    assert read_json(there.spec) == read_json(here.spec)


@pytest.mark.parametrize("name", [REQUEUED, TIMED, LOST], ids=["requeued", "out of time", "node lost"])
def test_a_run_that_the_cluster_took_away_goes_on_from_its_checkpoint_in_the_same_job(disturbed, name):
    runs, ids, _, _ = disturbed
    directory = runs.run(name)
    first, second = events_of(directory, Started)
    assert not first.resumed_phase
    assert second.resumed_phase
    assert read_job(directory).restarts == 1
    assert read_job(directory).id == ids[name]
    told = {(step.phase, step.step) for step in events_of(directory, Step)}
    assert told == {("search", n) for n in range(1, 21)} | {("retrain", n) for n in range(1, 11)}
