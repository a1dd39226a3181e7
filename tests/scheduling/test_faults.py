"""Faults, each really caused, with stand-in workers."""

import contextlib
import json
import os
import signal
import subprocess
import time

import pytest
from processes import DEADLINE, NO_RETRIES, SUITE, drive, drive_through_kills, is_alive, kill, wait_until, worker_pid
from stand_in import result

from core.run.events import Finished, Started, read_events
from core.run.rundir import read_json, write_json
from s3tui.runs.records.process import read_exit, read_process
from s3tui.runs.records.queue import Queue
from s3tui.runs.status import Dead, Paused, Quiet, Running
from s3tui.runs.workspace import find_runs, read_run
from s3tui.system.cpu import usable_cores
from s3tui.system.file_locks import is_locked
from s3tui.system.process_identity import identity_of

MANY = "[experiment.a]\nmatrix = { seed = [0, 1, 2, 3, 4, 5, 6, 7] }\n"


def status(workspace, name):
    return read_run(workspace.run(f"first/{name}"), name).status


def spans(directory):
    """When each attempt at a run began and ended, as its worker tells."""
    events, skipped = read_events(directory.events)
    assert skipped == 0
    return [event for event in events if isinstance(event, (Started, Finished))]


def test_a_dispatcher_killed_at_any_moment_loses_nothing(suite, workspace, states):
    file = suite(MANY)
    drive_through_kills(file, 12, 7, "0.004")
    assert set(states().values()) == {"finished"}
    assert len(states()) == 8
    for found in find_runs(workspace.path):
        # Workers were adopted, never doubled and never started again.
        assert [type(event) for event in spans(found.directory)] == [Started, Finished]


def test_two_dispatchers_started_at_the_same_instant_share_nothing(suite, workspace):
    file = suite(MANY)
    both = [drive(file), drive(file)]
    told = [process.communicate(timeout=DEADLINE)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    for found in find_runs(workspace.path):
        assert [type(event) for event in spans(found.directory)] == [Started, Finished]
    assert sum("dispatches these runs; this only watches" in err for err in told) == 1
    (second,) = (err for err in told if "only watches" in err)
    first = both[told.index(second) - 1]
    assert f"process {first.pid} on " in second


def test_whoever_only_watches_takes_over_when_the_dispatcher_dies(suite, workspace, states):
    one_slot = SUITE.replace("threads = 1", f"threads = {usable_cores()}")
    file = suite('[experiment.x]\nmodel = "until-told"\n[experiment.y]\n', one_slot)
    first = drive(file)
    worker_pid(workspace.run("first/x").path)
    second = drive(file)
    wait_until(lambda: is_locked(workspace.lock))
    first.kill()
    first.communicate(timeout=DEADLINE)
    wait_until(lambda: (workspace.dispatcher() or {}).get("pid") == second.pid)
    (workspace.run("first/x").path / "go").touch()
    second.communicate(timeout=DEADLINE)
    assert second.returncode == 0
    assert states() == {"x": "finished", "y": "finished"}


def test_a_worker_whose_supervisor_was_killed_is_adopted_and_finishes(suite, workspace, states):
    process = drive(suite('[experiment.x]\nmodel = "until-told"\n'))
    directory = workspace.run("first/x")
    worker = worker_pid(directory.path)
    kill(read_process(directory).supervisor.pid, signal.SIGKILL)
    wait_until(lambda: identity_of(read_process(directory).supervisor.pid) is None)
    assert isinstance(status(workspace, "x"), Running)
    (directory.path / "go").touch()
    process.communicate(timeout=DEADLINE)
    assert process.returncode == 0
    assert states() == {"x": "finished"}
    assert worker_pid(directory.path) == worker
    assert read_exit(directory) is None


def test_a_supervisor_killed_with_its_worker_is_a_death_that_is_tried_again(suite, workspace, states):
    process = drive(suite('[experiment.x]\nmodel = "until-told"\n'))
    directory = workspace.run("first/x")
    first = worker_pid(directory.path)
    (directory.path / "go").touch()
    there = read_process(directory)
    kill(there.supervisor.pid, signal.SIGKILL)
    kill(there.worker.pid, signal.SIGKILL)
    process.communicate(timeout=DEADLINE)
    assert states() == {"x": "finished"}
    # Where the worker was quick it had finished; else there was another attempt.
    assert (worker_pid(directory.path) == first) == (process.returncode == 0 and len(spans(directory)) == 2)


def test_a_worker_killed_at_any_moment_is_tried_again_until_it_is_done(suite, workspace, states):
    process = drive(suite("[experiment.a]\n"), env=os.environ | {"STAND_IN_STEP_SECONDS": "0.01"})
    directory = workspace.run("first/a")
    kill(worker_pid(directory.path), signal.SIGKILL)
    _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0
    assert "a: start 1 of 10 after a kill: the worker was ended by SIGKILL" in err
    assert states() == {"a": "finished"}


@pytest.mark.parametrize("file", ["spec.json", "summary.json", "queue.json", "process.json", "exit.json"])
@pytest.mark.parametrize("content", ["{", "\0" * 100, "[]"])
def test_a_damaged_file_damages_its_own_run_alone(run, workspace, told, file, content):
    experiments = "[experiment.bad]\nmodel = 'crash'\n[experiment.good]\n"
    assert run(experiments)[0] == 1
    (workspace.run("first/bad").path / file).write_text(content)
    workspace.run("first/good").result.unlink()
    rows = {row["name"]: row for row in told("list", "--in", "runs")["runs"]}
    assert rows["first/bad"]["status"] == "damaged"
    assert file in rows["first/bad"]["note"]
    # The other one goes on.
    told("retry", "good", "--in", "runs")
    process = drive("attach", str(workspace.path))
    process.communicate(timeout=DEADLINE)
    assert status(workspace, "good").name == "finished"


@pytest.mark.parametrize("file", ["summary.json", "process.json", "exit.json", "queue.json"])
def test_a_damaged_file_that_can_be_made_anew_is_no_obstacle_to_another_try(run, workspace, told, file):
    run("[experiment.x]\nmodel = 'second-time'\n", head=NO_RETRIES)
    (workspace.run("first/x").path / file).write_text("{")
    assert status(workspace, "x").name == "damaged"
    told("retry", "x", "--in", "runs")
    drive("attach", str(workspace.path)).communicate(timeout=DEADLINE)
    assert status(workspace, "x").name == "finished"


def pretend(directory, **changes):
    """A run whose process file says something else than the truth."""
    data = read_json(directory.process)
    for key, value in changes.items():
        if isinstance(value, dict):
            data[key] |= value
        else:
            data[key] = value
    write_json(directory.process, data)
    directory.exit.unlink(missing_ok=True)


@pytest.fixture
def died(run, workspace):
    """A run that died, held."""
    run("[experiment.x]\nmodel = 'kill-self'\n", head=NO_RETRIES)
    return workspace.run("first/x")


def test_a_number_that_another_process_has_now_is_no_sign_of_life(died, workspace, told):
    me = identity_of(os.getpid())
    pretend(died, worker={"pid": me.pid, "start": me.start - 1}, supervisor={"pid": me.pid, "start": me.start - 1})
    assert isinstance(status(workspace, "x"), Dead)
    told("cancel", "x", "--in", "runs")  # does not kill this test
    assert status(workspace, "x").name == "cancelled"


def test_a_run_of_before_the_machine_was_restarted_goes_on_by_itself(run, died, workspace):
    workspace.queue.change(died, lambda queue: Queue(wanted="queued"))
    died.spec.write_text(died.spec.read_text().replace("kill-self", "succeed"))
    pretend(died, worker={"boot": "an-earlier-one"}, supervisor={"boot": "an-earlier-one"})
    assert status(workspace, "x") == Dead("the machine was restarted", "restart")
    drive("attach", str(workspace.path)).communicate(timeout=DEADLINE)
    assert status(workspace, "x").name == "finished"


def test_a_run_that_was_moved_here_waits_for_somebody_to_say_so(died, workspace, told):
    workspace.queue.change(died, lambda queue: Queue(wanted="queued"))
    died.spec.write_text(died.spec.read_text().replace("kill-self", "succeed"))
    elsewhere = {"boot": "of-another-machine"}
    pretend(died, host="node17", worker=elsewhere, supervisor=elsewhere)
    assert "it ran on node17" in status(workspace, "x").manner
    _, err = drive("attach", str(workspace.path)).communicate(timeout=DEADLINE)
    assert "it ran on node17" in err
    assert status(workspace, "x").reason == "s3tui retry goes on here"
    told("retry", "x", "--in", "runs")
    drive("attach", str(workspace.path)).communicate(timeout=DEADLINE)
    assert status(workspace, "x").name == "finished"


def test_a_worker_on_another_machine_runs_while_its_heart_beats(died, workspace):
    elsewhere = {"boot": "of-another-machine"}
    pretend(died, host="node17", worker=elsewhere, supervisor=elsewhere)
    died.heartbeat.touch()
    assert isinstance(status(workspace, "x"), Running)
    os.utime(died.heartbeat, (0, 0))
    assert isinstance(status(workspace, "x"), Dead)


def test_a_clock_that_was_set_back_kills_nobody(suite, workspace, states):
    process = drive(suite('[experiment.x]\nmodel = "until-told"\n'))
    directory = workspace.run("first/x")
    worker_pid(directory.path)
    tomorrow = time.time() + 86400
    for path in (directory.events, directory.process, directory.heartbeat):
        path.touch()
        os.utime(path, (tomorrow, tomorrow))
    assert isinstance(status(workspace, "x"), Running)
    (directory.path / "go").touch()
    process.communicate(timeout=DEADLINE)
    assert states() == {"x": "finished"}


def test_a_run_that_waits_does_not_wait_longer_for_a_clock_that_was_set_back(run, workspace):
    run("[experiment.x]\nmodel = 'kill-self'\n", head=NO_RETRIES)
    directory = workspace.run("first/x")
    (directory.path / "spec.json").write_text(
        (directory.path / "spec.json").read_text().replace("kill-self", "succeed")
    )
    settled = json.loads(directory.queue.read_text())["settled"]
    later = time.time() + 10 * 86400
    workspace.queue.change(directory, lambda queue: Queue(settled=settled, not_before=later, submitted=later))
    drive("attach", str(workspace.path)).communicate(timeout=DEADLINE)
    assert status(workspace, "x").name == "finished"


def test_a_worker_that_tells_nothing_is_quiet_and_one_that_is_stopped_gives_no_sign(suite, workspace):
    drive(suite('[experiment.x]\nmodel = "hang"\n'))
    directory = workspace.run("first/x")
    worker_pid(directory.path)
    directory.heartbeat.touch()
    long_ago = time.time() - 500
    wait_until(lambda: isinstance(status(workspace, "x"), Running))
    for path in (directory.events, directory.process):
        os.utime(path, (long_ago, long_ago))
    quiet = status(workspace, "x")
    assert isinstance(quiet, Quiet)
    assert quiet.note.endswith("s, alive")
    os.utime(directory.heartbeat, (long_ago, long_ago))
    assert "no sign of life for" in status(workspace, "x").note


def test_what_is_left_of_a_run_is_ended_when_it_is_cancelled(suite, workspace, s3tui):
    """The supervisor and the worker are killed; a grandchild holds the lock of the run on."""
    process = drive(suite('[experiment.x]\nmodel = "with-family"\n'))
    directory = workspace.run("first/x")
    pids = wait_until(lambda: (directory.path / "family").exists() and (directory.path / "family").read_text().split())
    process.kill()
    process.communicate(timeout=DEADLINE)
    there = read_process(directory)
    for pid in (there.supervisor.pid, there.worker.pid):
        kill(pid, signal.SIGKILL)
    wait_until(lambda: identity_of(there.worker.pid) is None and identity_of(there.supervisor.pid) is None)
    assert is_locked(directory.log)
    code, _, err = s3tui("cancel", "x", "--in", "runs")
    assert (code, err) == (0, "")
    wait_until(lambda: not any(is_alive(int(pid)) for pid in pids))
    assert status(workspace, "x").name == "cancelled"


def test_a_worker_that_ignores_sigterm_is_stopped_all_the_same(suite, workspace, told):
    drive(suite('[experiment.x]\nmodel = "stubborn"\n'), env=os.environ | {"GRACE": "0.3"})
    directory = workspace.run("first/x")
    wait_until(lambda: (directory.path / "deaf").exists())
    assert told("stop", "x", "--in", "runs")["runs"] == [{"name": "first/x", "done": "stopped", "refused": ""}]
    assert status(workspace, "x") == Paused("stopped on demand")


def test_a_thousand_finished_runs_are_no_burden(run, workspace, told):
    assert run("[experiment.x]\n")[0] == 0
    spec = read_json(workspace.run("first/x").spec)
    for number in range(1000):
        directory = workspace.run(f"old/run-{number:04d}")
        directory.create(spec | {"seed": number})
        write_json(directory.result, result(spec | {"seed": number}, 0.5))
        write_json(directory.queue, Queue().to_json())
    assert run("[experiment.x]\n[experiment.y]\nseed = 5\n")[0] == 0
    assert len(told("list", "suite:old", "status:finished", "--in", "runs")["runs"]) == 1000


def test_the_workspace_of_somebody_else_is_read_only(run, workspace, s3tui):
    run("[experiment.x]\n")
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder to somebody else")
    os.chown(workspace.path, 4321, -1)
    for arguments in (("stop", "x"), ("rm", "--yes", "x"), ("pause",), ("gc",), ("attach",)):
        code, out, err = s3tui(*arguments, "--in", "runs")
        assert (code, out) == (2, "")
        assert "belongs to user 4321 and is read-only to you" in err
    assert run("[experiment.x]\n[experiment.y]\nseed = 1\n")[0] == 2
    assert s3tui("list", "--in", "runs")[0] == 0
    assert s3tui("status", "--in", "runs")[0] == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_workspace_can_be_looked_at(run, workspace, s3tui):
    run("[experiment.x]\n")
    workspace.shared.chmod(0o500)
    try:
        assert s3tui("stop", "x", "--in", "runs")[0] == 2
        assert s3tui("list", "--in", "runs")[0] == 0
    finally:
        workspace.shared.chmod(0o700)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte where the workspace is; the path of what fills it."""
    disk = tmp_path / "runs"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode()}")
    yield disk / "ballast"
    wait_until(lambda: subprocess.run(["umount", disk], capture_output=True, check=False).returncode == 0)


def fill(ballast):
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def test_a_full_disk_ends_no_dispatcher_and_what_waits_goes_on(small_disk, run, workspace, told, states):
    run("[experiment.x]\nmodel = 'second-time'\n", head=NO_RETRIES)
    told("retry", "x", "--in", "runs")
    fill(small_disk)
    process = drive("attach", str(workspace.path))
    assert "No space left on device" in process.stderr.readline()
    small_disk.unlink()
    _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, err
    assert states() == {"x": "finished"}
