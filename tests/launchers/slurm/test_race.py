"""A race whose arms go to a real Slurm: the same answer as on this machine, whatever is killed on the way."""

import json
import os
import signal

import pytest
from processes import DEADLINE, drive, kill, nothing_left, wait_until

from s3tui.runs.records.job import read_job
from s3tui.runs.status import Running
from s3tui.runs.workspace import Workspace, find_runs

SUITE = """
[suite]
name = "first"
threads = 1
[launcher]
kind = "{launcher}"
[experiment.best]
race = {{ rungs = [10, 30], keep = 0.5, confirm = 1, final = 1 }}
matrix = {{ seed = [0, 1] }}
retrain.eval_every = 10
model = "races"
task = "icd10-chapter"
space = "mix-low-rank"
budget = 4e-4
method = "random"
"""


@pytest.fixture
def race(tmp_path, cluster):
    """The suite of the race in a folder of its own, by the launcher that has its arms started."""
    folders = {launcher: tmp_path / launcher for launcher in ("local", "slurm")}
    for launcher, folder in folders.items():
        folder.mkdir()
        (folder / "suite.toml").write_text(SUITE.format(launcher=launcher))
    with nothing_left(folders["local"] / "runs"), nothing_left(folders["slurm"] / "runs"):
        yield folders
    cluster.ask("scancel", "--me")


def ended(s3tui, folder):
    """All that must be the same wherever the arms ran: how far they came, their scores, the answer."""
    code, out, err = s3tui("race", "show", "best", "--in", folder / "runs", "--json")
    assert code == 0, err
    race = json.loads(out)
    assert race["over"]
    return {arm["name"]: (arm["limit"], arm["scores"], arm["fate"]) for arm in race["arms"]}, race["answer"]


def test_a_race_through_slurm_whose_dispatcher_and_worker_are_killed_ends_as_here(race, s3tui):
    here, there = race["local"], race["slurm"]
    drive(here / "suite.toml").communicate(timeout=DEADLINE)
    slowly = {"env": os.environ | {"STAND_IN_STEP_SECONDS": "0.3"}}
    first = drive(there / "suite.toml", **slowly)
    workspace = Workspace(there / "runs")

    def at_work():
        return [run for run in find_runs(workspace.path) if isinstance(run.status, Running) and run.status.process]

    victim = wait_until(at_work)[0]
    first.kill()
    first.communicate(timeout=DEADLINE)
    kill(victim.status.process.worker.pid, signal.SIGKILL)
    _, err = drive(there / "suite.toml").communicate(timeout=2 * DEADLINE)
    assert ended(s3tui, there) == ended(s3tui, here), err
    jobs = [read_job(run.directory) for run in find_runs(workspace.path)]
    assert all(job is not None and job.id for job in jobs)
