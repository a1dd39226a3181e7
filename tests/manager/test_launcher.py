import json
import sys

import pytest
from processes import STAND_IN, wait_until

from core.run.errors import RunDirError
from core.run.rundir import RunDir
from s3tui.devices import Slot
from s3tui.launcher import WORKER, is_running, start, terminate

SPEC = {"task": {"name": "t"}, "method": "s3", "seed": 0, "device": "cpu"}
SLOT = Slot("cpu 0", 3)


@pytest.fixture
def run(tmp_path):
    def create(act):
        directory = RunDir(tmp_path / "run")
        directory.create(SPEC | {"model": act})
        return directory

    return create


def test_a_worker_is_alone_in_its_session_and_directory_without_input(run):
    directory = run("tell")
    process = start(directory, SLOT, "cpu", STAND_IN)
    wait_until(lambda: process.exit_code() is not None)
    _, where, more = directory.log.read_text().splitlines()
    assert json.loads(where) == {"cwd": str(directory.path), "leader": True, "threads": "3"}
    assert json.loads(more) == {"safe": "1", "input": ""}
    assert process.exit_code() == 0


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 has no safe path")
def test_a_core_folder_of_the_users_does_not_shadow_ours(run):
    directory = run("any")
    (directory.path / "core").mkdir()
    (directory.path / "core/__init__.py").write_text("raise SystemExit('the wrong core')")
    assert WORKER[-2:] == ("-m", "core")
    process = start(directory, SLOT, "cpu", (*WORKER[:-2], "-c", "import core.run; print('ours')"))
    wait_until(lambda: process.exit_code() is not None)
    assert directory.log.read_text() == "ours\n"


def test_a_run_has_one_worker_at_a_time(run):
    directory = run("hang")
    assert not is_running(directory)
    process = start(directory, SLOT, "cpu", STAND_IN)
    try:
        assert is_running(directory)
        with pytest.raises(RunDirError, match="is being worked on"):
            start(directory, SLOT, "cpu", STAND_IN)
    finally:
        terminate([process])
    assert not is_running(directory)
    assert process.exit_code() == -15


def test_a_worker_that_does_not_listen_is_killed(run):
    directory = run("stubborn")
    process = start(directory, SLOT, "cpu", STAND_IN)
    wait_until(lambda: (directory.path / "deaf").exists())
    terminate([process], grace_seconds=0.1)
    assert process.exit_code() == -9


def test_a_later_attempt_adds_to_the_log(run):
    directory = run("silent-exit")
    for _ in range(2):
        process = start(directory, SLOT, "cpu", STAND_IN)
        wait_until(lambda process=process: process.exit_code() is not None)
    assert directory.log.read_bytes()[process.log_start :].startswith(b"playing silent-exit")
    assert directory.log.read_text().count("playing") == 2
