"""Jobs that are steered, cancelled, lost sight of: with a stand-in for the worker, on a real cluster."""

import os
import signal
import subprocess
import time
from dataclasses import replace

import pytest
from processes import DEADLINE, STAND_IN, wait_until

from s3tui.runs.records.job import read_job, write_job
from s3tui.runs.records.process import read_process
from s3tui.runs.workspace import find_runs, read_run

TWO = """
[experiment.one]
model = "until-told"
[experiment.two]
model = "until-told"
seed = 1
"""
ONE_AT_A_TIME = 'kind = "slurm"\nparallel = 1'


@pytest.fixture
def status(workspace):
    """Where a run stands by its files, and what is said of it."""

    def now(name):
        return read_run(workspace.run(f"first/{name}"), name).status

    return now


@pytest.fixture
def job(workspace):
    return lambda name: read_job(workspace.run(f"first/{name}"))


@pytest.fixture
def go(workspace):
    """Let the worker of a run come to its end."""
    return lambda name: (workspace.run(f"first/{name}").path / "go").touch()


@pytest.fixture
def attach(tmp_path, workspace):
    """Dispatch what is there, as `s3tui attach` does."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    command = [*STAND_IN, "drive", "attach", str(workspace.path)]
    return lambda: subprocess.Popen(command, cwd=tmp_path, **pipes)


def next_line(process):
    """The next line that a process tells; the empty one says that it has ended."""
    line = process.stderr.readline()
    assert line
    return line


def runs_in_slurm(job, name):
    return (found := job(name)) is not None and found.state == "RUNNING"


def finish(process):
    _, err = process.communicate(timeout=2 * DEADLINE)
    assert "Traceback" not in err
    return process.returncode, err


def test_every_screen_says_where_a_job_runs_and_why_another_waits(drive, job, go, s3tui, cluster):
    process = drive(TWO, launcher=ONE_AT_A_TIME)
    wait_until(lambda: runs_in_slurm(job, "one") and job("two").reason == "JobArrayTaskLimit")
    where = f"slurm {job('one').id} {job('one').node}"
    wait_until(lambda: where in s3tui("status", "--in", "runs")[1])
    assert f"slurm {job('two').id}: JobArrayTaskLimit" in s3tui("status", "--in", "runs")[1]
    assert where in s3tui("list", "--in", "runs", "--json")[1]
    go("one")
    go("two")
    code, err = finish(process)
    assert code == 0
    assert f"two: slurm {job('two').id}: JobArrayTaskLimit" in err
    assert [(job(name).state, job(name).exit_code) for name in ("one", "two")] == [("COMPLETED", "0:0")] * 2


def test_scancel_from_outside_is_a_cancellation_and_no_crash_and_the_run_can_go_on_here(
    drive, job, status, go, cluster
):
    process = drive(TWO, launcher=ONE_AT_A_TIME)
    wait_until(lambda: runs_in_slurm(job, "one"))
    assert cluster.ask("scancel", job("one").id, job("two").id).returncode == 0
    code, err = finish(process)
    assert code == 1
    assert "one: cancelled: its job was cancelled outside s3tui" in err
    assert "two: cancelled: its job was cancelled outside s3tui" in err
    assert "retry" not in err
    assert status("one").name == status("two").name == "cancelled"
    assert job("one").state == "CANCELLED"

    process = drive(TWO, launcher='kind = "local"')
    assert any("one: started again on 1 core" in line for line in iter(lambda: next_line(process), ""))
    go("one")
    go("two")
    code, err = finish(process)
    assert code == 0, err
    assert status("one").name == status("two").name == "finished"


def test_a_run_is_held_released_stopped_resumed_and_cancelled_by_the_same_commands(
    drive, attach, job, status, go, s3tui, workspace
):
    process = drive(TWO.replace('"until-told"\nseed', '"stops-on-term"\nseed'), launcher=ONE_AT_A_TIME)
    wait_until(lambda: runs_in_slurm(job, "one") and job("two").reason == "JobArrayTaskLimit")
    first = job("two").id
    assert s3tui("priority", "two", "-5", "--in", "runs")[1].strip() == "first/two: priority -5"

    assert s3tui("stop", "two", "--in", "runs")[1].strip() == "first/two: held"
    assert status("two").name == "paused"
    go("one")
    finish(process)
    # Nobody dispatches now: who looks asks Slurm.
    wait_until(lambda: "JobHeld" in s3tui("status", "--in", "runs")[1] or job("two").reason.startswith("JobHeld"))
    assert s3tui("resume", "two", "--in", "runs")[1].strip() == "first/two: queued"
    wait_until(lambda: f"slurm {first} " in s3tui("list", "status:running", "--in", "runs", "--json")[1])
    directory = workspace.run("first/two")
    wait_until(lambda: (found := read_process(directory)) is not None and found.job == first)
    wait_until(lambda: directory.events.exists())
    code, out, err = s3tui("stop", "two", "--in", "runs")
    assert (code, out.strip()) == (0, "first/two: stopped"), err
    assert (status("two").name, status("two").note) == ("paused", "stopped on demand")

    assert s3tui("resume", "two", "--in", "runs")[0] == 0
    process = attach()
    wait_until(lambda: job("two").id != first and runs_in_slurm(job, "two"))
    assert s3tui("cancel", "two", "--in", "runs")[1].strip() == "first/two: cancelled"
    finish(process)
    assert job("two").state == "CANCELLED"
    assert status("two").name == "cancelled"


def test_a_controller_that_is_away_for_a_minute_loses_nothing(drive, job, status, go, cluster):
    process = drive(TWO, launcher=ONE_AT_A_TIME)
    wait_until(lambda: runs_in_slurm(job, "one") and job("two").reason == "JobArrayTaskLimit")
    before = job("one"), job("two")  # all there is to know, so that an answer under way changes nothing
    cluster.stop_controller()
    away = time.monotonic()
    try:
        wait_until(lambda: "Slurm does not answer" in next_line(process))
        assert (status("one").name, status("two").name) == ("running", "queued")
        go("one")
        wait_until(lambda: status("one").name == "finished")
        wait_until(lambda: time.monotonic() - away > 60)
        assert process.poll() is None
        assert (job("one"), job("two")) == before
    finally:
        cluster.start_controller()
    go("two")
    code, err = finish(process)
    assert code == 0, err
    assert (status("one").name, status("two").name) == ("finished", "finished")
    assert (job("one").id, job("two").id) == (before[0].id, before[1].id)


def test_whoever_submitted_may_die_and_nothing_is_lost_or_submitted_twice(drive, attach, job, go, workspace, cluster):
    process = drive(TWO)
    wait_until(lambda: runs_in_slurm(job, "one") and runs_in_slurm(job, "two"))
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    ids = {name: job(name).id for name in ("one", "two")}
    # What is left where the kill comes while sbatch is under way: the array is known, its number is not.
    write_job(workspace.run("first/two"), replace(job("two"), id="", phase="waiting", state=""))
    other = attach()
    wait_until(lambda: job("two").id)
    go("one")
    go("two")
    assert finish(other)[0] == 0
    assert {name: job(name).id for name in ids} == ids
    assert [run.status.name for run in find_runs(workspace.path)] == ["finished"] * 2
    told = cluster.ask("squeue", "--me", "--states=all", "--noheader", "--array", "--format=%j").stdout.split()
    assert told.count(f"s3tui-{job('one').batch}") == 2


def test_a_job_that_fails_before_its_worker_begins_is_told_with_its_log(drive, job, status, workspace):
    process = drive("[experiment.x]\n", launcher='kind = "slurm"\nsetup = ["echo no such module", "exit 3"]')
    code, err = finish(process)
    assert code == 1
    assert "its job ended as FAILED with exit code 3 and its worker did not start" in err
    assert "no such module" in err  # the last lines of its log
    assert status("x").name == "dead"


def test_nothing_is_submitted_that_the_cluster_would_refuse(drive, s3tui, workspace, cluster):
    for launcher, problem in {
        'partition = "mian"': "launcher.partition: there is no partition 'mian' on this cluster, did you mean 'main'",
        'gres = "gpu:a100:1"': "launcher: sbatch refuses: ",
        'partition = "main"\ntime = "2-00:00:00"': "launcher: sbatch refuses: ",
    }.items():
        code, err = finish(drive("[experiment.x]\n", launcher=f'kind = "slurm"\n{launcher}'))
        assert code == 2
        assert problem in err
        assert s3tui("validate", "suite.toml")[0] == 2
    assert not workspace.path.exists()


def test_a_task_and_its_worker_take_no_code_from_a_run(drive, status, workspace, tmp_path, monkeypatch):
    trap = workspace.run("first/one").path
    for name in ("sitecustomize", "json", "core", "s3tui"):
        (trap / name).mkdir(parents=True)
        (trap / name / "__init__.py").write_text(f"open({str(tmp_path / 'marker')!r}, 'w').close()")
    monkeypatch.setenv("PYTHONPATH", ":/opt:0:.")  # in the folder of an array, `0` leads to its first run
    code, err = finish(drive('[experiment.one]\nmodel = "succeed"'))
    assert code == 0, err
    assert status("one").name == "finished"
    assert not (tmp_path / "marker").exists()
