"""One real cluster for all tests of this folder, in one process of the test run; without Slurm they are skipped."""

import os
import subprocess
import sys

import pytest
from cluster import Cluster
from processes import DEADLINE, STAND_IN, nothing_left

from s3tui.runs.workspace import Workspace


def started(tmp_path_factory):
    """A cluster. A port may be taken in the moment before it is used, so once is not enough."""
    for attempt in range(3):
        there = Cluster(tmp_path_factory.mktemp("slurm"))
        try:
            there.start()
            return there
        except RuntimeError as error:
            there.stop()
            reason = f"attempt {attempt + 1}: {error}"
            if "not installed" in reason:
                break
    pytest.skip(reason)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    before = os.environ.get("SLURM_CONF")
    try:
        there = started(tmp_path_factory)
        yield there
        there.stop()
    finally:
        os.environ.pop("SLURM_CONF", None) if before is None else os.environ.update(SLURM_CONF=before)


@pytest.fixture
def workspace(tmp_path, cluster):
    """The workspace of the suites of a test; what runs there at the end is ended."""
    with nothing_left(tmp_path / "runs"):
        yield Workspace(tmp_path / "runs")
    cluster.ask("scancel", "--me")


@pytest.fixture
def s3tui(tmp_path):
    """Run a command as a user does: exit code, stdout, stderr."""

    def command(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "s3tui", *map(str, arguments)],
            cwd=tmp_path, capture_output=True, text=True, timeout=3 * DEADLINE,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout, done.stderr

    return command


@pytest.fixture
def drive(tmp_path, workspace):
    """Run a suite whose worker is the stand-in: the process of `s3tui run`."""

    def start(experiments, *arguments, launcher='kind = "slurm"'):
        file = tmp_path / "suite.toml"
        file.write_text(SUITE.format(launcher=launcher) + experiments)
        command = [*STAND_IN, "drive", str(file), *arguments]
        return subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    return start


SUITE = """
[suite]
name = "first"
threads = 1
[launcher]
{launcher}
[defaults]
model = "succeed"
task = "icd10-chapter"
space = "mix-low-rank"
budget = 4e-4
"""
