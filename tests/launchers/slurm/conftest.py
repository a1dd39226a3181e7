"""Suites whose runs go to a real Slurm: see `cluster` in the folder above."""

import subprocess
import sys

import pytest
from processes import DEADLINE, STAND_IN, nothing_left

from s3tui.runs.workspace import Workspace


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
