"""The supervisor with stand-in workers: what it writes, and that nothing survives what it ends."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import STAND_IN, is_alive, kill, wait_until

from core.run.rundir import RunDir
from s3tui.devices.placement import Gpu, Place
from s3tui.launchers.base import WORKER
from s3tui.launchers.processes import kill_all, request_end
from s3tui.launchers.start_supervisor import start_supervisor
from s3tui.launchers.supervisor import how_it_ended
from s3tui.runs.gather import lives
from s3tui.runs.records.process import read_exit, read_process
from s3tui.system.file_locks import is_locked, try_lock
from s3tui.system.process_identity import Identity, identity_of, this_boot
from s3tui.system.process_identity import is_alive as same_process_lives

THREE_CORES = Place(3)
SPEC = {"task": {"name": "t"}, "method": "s3", "seed": 0, "device": "cpu"}


@pytest.fixture
def run(tmp_path):
    """Start a stand-in under a supervisor; whatever is left of it at the end is killed."""
    started = []

    def start(act, command=STAND_IN, grace=60.0, leases=(), place=THREE_CORES):
        directory = RunDir(tmp_path / "run")
        if not directory.exists():
            directory.create(SPEC | {"model": act})
        supervisor = start_supervisor(directory, place, "cpu", leases, command, grace)
        started.append(directory)
        return directory, supervisor

    yield start
    for directory in started:
        kill_all(directory)


def of_this_attempt(directory):
    return wait_until(lambda: (p := read_process(directory)) and lives(p) and p)


def ended(directory, supervisor):
    supervisor.wait(timeout=60)
    return read_exit(directory)


def test_a_run_on_several_gpus_sees_them_and_has_a_process_for_each(run):
    tell = [sys.executable, "-c", "import os, sys; print(os.environ['CUDA_VISIBLE_DEVICES'], *sys.argv[1:])"]
    two = (Gpu("GPU-a", index=2), Gpu("GPU-b", index=5))
    directory, supervisor = run("", tell, place=Place(1, two))
    assert ended(directory, supervisor).code == 0
    assert directory.log.read_text().split() == ["GPU-a,GPU-b", "--processes", "2", str(directory.path)]
    assert read_process(directory).where == "gpus 2, 5"


def test_a_worker_leads_a_session_of_its_own_in_no_folder_of_anybodys_and_has_no_input(run):
    directory, supervisor = run("tell")
    end = ended(directory, supervisor)
    _, where, more = directory.log.read_text().splitlines()
    assert json.loads(where) == {"cwd": "/", "leader": True, "threads": "3"}
    assert json.loads(more) == {"safe": "1", "input": ""}
    assert (end.code, end.signal, end.asked) == (0, None, "")
    assert end.worker == read_process(directory).worker
    assert end.peak_memory_bytes > 2**20
    assert end.cpu_seconds is not None


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 has no safe path")
@pytest.mark.parametrize("name", ["core", "s3tui"])
def test_a_folder_of_the_users_does_not_shadow_ours(run, tmp_path, name):
    (tmp_path / "run" / name).mkdir(parents=True)
    (tmp_path / "run" / name / "__init__.py").write_text("raise SystemExit('the wrong one')")
    assert WORKER[-2:] == ("-m", "core")
    directory, supervisor = run("any", (*WORKER[:-2], "-c", "import core.run, s3tui; print('ours')"))
    assert ended(directory, supervisor).code == 0
    assert directory.log.read_text() == "ours\n"


def test_a_run_has_one_worker_at_a_time(run):
    directory, first = run("hang")
    worker = of_this_attempt(directory).worker
    assert is_locked(directory.log)
    assert run("hang")[1] is None
    assert read_process(directory).worker == worker
    first.send_signal(signal.SIGINT)
    assert ended(directory, first).signal == "SIGKILL"
    assert not is_locked(directory.log)


def test_a_gentle_stop_gives_the_worker_its_time(run):
    directory, supervisor = run("hang")
    request_end(of_this_attempt(directory), at_once=False)
    end = ended(directory, supervisor)
    assert (end.signal, end.asked) == ("SIGTERM", "stop")


def test_a_worker_that_ignores_sigterm_is_killed_when_its_time_is_over(run):
    directory, supervisor = run("stubborn", grace=0.3)
    wait_until(lambda: (directory.path / "deaf").exists())
    request_end(of_this_attempt(directory), at_once=False)
    end = ended(directory, supervisor)
    assert (end.signal, end.asked) == ("SIGKILL", "stop")


def test_a_second_request_to_stop_is_not_passed_on(run):
    directory, supervisor = run("counts-terms")
    wait_until(lambda: (directory.path / "ready").exists())
    process = of_this_attempt(directory)
    for count in range(3):
        request_end(process, at_once=False)
        wait_until(lambda: (directory.path / "terms").exists())
        assert len((directory.path / "terms").read_text()) == 1, count
    (directory.path / "go").touch()
    assert ended(directory, supervisor).code == 0


@pytest.mark.parametrize("how", ["cancel", "end of the worker", "death of the worker"])
def test_no_grandchild_survives_in_whatever_session(run, how):
    directory, supervisor = run("with-family")
    pids = wait_until(lambda: (directory.path / "family").exists() and (directory.path / "family").read_text().split())
    family = [int(pid) for pid in pids]
    assert len(family) == 3
    process = of_this_attempt(directory)
    if how == "cancel":
        request_end(process, at_once=True)
    elif how == "death of the worker":
        os.kill(process.worker.pid, signal.SIGKILL)
    else:
        (directory.path / "go").touch()
    ended(directory, supervisor)
    assert not any(map(is_alive, family))
    assert not is_locked(directory.log)


def test_a_worker_outlives_its_supervisor_and_can_still_be_ended_with_its_family(run):
    directory, supervisor = run("with-family")
    pids = wait_until(lambda: (directory.path / "family").exists() and (directory.path / "family").read_text().split())
    process = of_this_attempt(directory)
    supervisor.kill()
    supervisor.wait()
    assert is_alive(process.worker.pid)
    assert lives(process)
    assert is_locked(directory.log)
    kill_all(directory)
    wait_until(lambda: not any(is_alive(int(pid)) for pid in (*pids, process.worker.pid)))
    assert read_exit(directory) is None
    wait_until(lambda: not is_locked(directory.log))


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.04, 0.06, 0.07, 0.08, 0.1, 0.15])
def test_no_worker_is_ever_left_without_its_process_file(run, delay):
    """Killed at any moment, a supervisor leaves either no worker, or one that can be found."""
    directory, supervisor = run("hang")
    time.sleep(delay)  # no synchronisation: any moment will do
    supervisor.kill()
    supervisor.wait()
    # The lock is the worker's, unless that never got the word and ends.
    wait_until(lambda: not is_locked(directory.log) or read_process(directory))
    kill_all(directory)
    wait_until(lambda: not is_locked(directory.log))


def test_a_lease_is_held_until_the_last_of_both_has_gone(run, tmp_path):
    lease = try_lock(tmp_path / "gpu")
    directory, supervisor = run("hang", leases=[lease])
    os.close(lease)
    process = of_this_attempt(directory)
    assert is_locked(tmp_path / "gpu")
    supervisor.kill()
    supervisor.wait()
    assert is_locked(tmp_path / "gpu")
    kill(process.worker.pid, signal.SIGKILL)
    wait_until(lambda: not is_locked(tmp_path / "gpu"))


def test_a_supervisor_outlives_a_hang_up(run):
    directory, supervisor = run("until-told")
    process = of_this_attempt(directory)
    supervisor.send_signal(signal.SIGHUP)
    (directory.path / "go").touch()
    assert ended(directory, supervisor).code == 0
    assert not lives(process)


def test_a_command_that_is_not_there_is_told_in_the_log(run):
    directory, supervisor = run("any", ("/no/such/python",))
    assert ended(directory, supervisor).code == 127
    assert "/no/such/python cannot be started: No such file or directory" in directory.log.read_text()


def test_a_later_attempt_adds_to_the_log_and_knows_where_it_begins(run):
    for _ in range(2):
        directory, supervisor = run("silent-exit")
        assert ended(directory, supervisor).code == 3
    process = read_process(directory)
    assert directory.log.read_bytes()[process.log_start :].startswith(b"playing silent-exit")
    assert directory.log.read_text().count("playing") == 2
    assert process.events_start > 0


def test_files_follow_the_umask(tmp_path):
    script = f"""
import os, sys
os.umask(0o027)
from core.run.rundir import RunDir
from s3tui.devices.placement import Gpu, Place
from s3tui.launchers.start_supervisor import start_supervisor
directory = RunDir(__import__("pathlib").Path({str(tmp_path / "run")!r}))
directory.create({SPEC | {"model": "silent-exit"}!r})
start_supervisor(directory, Place(1), "cpu", (), {STAND_IN!r}).wait()
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "run").iterdir()}
    assert set(modes) == {"spec.json", "events.jsonl", "log.txt", "process.json", "exit.json"}
    assert set(modes.values()) == {0o640}


def test_the_kernels_killing_for_want_of_memory_is_told_apart():
    assert how_it_ended(signal.SIGKILL, killed_by_kernel=True)["out_of_memory"]
    assert not how_it_ended(signal.SIGKILL, killed_by_kernel=False)["out_of_memory"]
    assert not how_it_ended(signal.SIGSEGV, killed_by_kernel=True)["out_of_memory"]


@pytest.fixture
def small_memory():
    """A control group of 64 MiB for what this test starts."""
    group = Path("/sys/fs/cgroup/memory") / f"s3tui-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(64 * 2**20))
    except OSError as error:
        pytest.skip(f"no memory control group can be made here: {error}")
    yield group
    wait_until(lambda: not (group / "cgroup.procs").read_text())
    group.rmdir()


def test_a_worker_that_the_kernel_kills_for_its_memory_is_known_as_such(tmp_path, small_memory):
    directory = RunDir(tmp_path / "run")
    directory.create(SPEC | {"model": "eats-memory"})
    enter = f"echo $$ > {small_memory}/cgroup.procs; exec "
    command = [sys.executable, "-m", "s3tui.launchers.supervisor", str(directory.path), "1 core", "60", *STAND_IN]
    subprocess.run(["/bin/sh", "-c", enter + shlex.join(command)], check=False, timeout=60)
    end = read_exit(directory)
    assert (end.signal, end.out_of_memory) == ("SIGKILL", True)


def test_a_number_that_is_used_again_is_another_process():
    mine = identity_of(os.getpid())
    assert same_process_lives(mine)
    assert not same_process_lives(Identity(mine.pid, mine.start + 1, mine.boot))
    assert not same_process_lives(Identity(mine.pid, mine.start, "another-boot"))
    assert mine.boot == this_boot()


def test_a_zombie_is_dead():
    child = subprocess.Popen(["/bin/true"])
    wait_until(lambda: identity_of(child.pid) is None)
    child.wait()
