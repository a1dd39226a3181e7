"""What the tests of the manager share: suites with stand-in workers, and nothing left behind of them."""

import json
import os
import subprocess
import sys

import pytest
from processes import DEADLINE, SUITE, drive, nothing_left

from s3tui.runs.workspace import Workspace, find_runs


@pytest.fixture
def workspace(tmp_path):
    """The workspace of the suites of a test; what runs there at the end is killed."""
    with nothing_left(tmp_path / "runs"):
        yield Workspace(tmp_path / "runs")


@pytest.fixture
def suite(tmp_path, workspace):
    """Write a suite of stand-ins."""

    def write(experiments, head=SUITE):
        file = tmp_path / "suite.toml"
        file.write_text(head + experiments)
        return file

    return write


@pytest.fixture
def run(suite):
    """Run a suite to its end: exit code, stdout, stderr."""

    def to_the_end(experiments, *arguments, head=SUITE):
        process = drive(suite(experiments, head), *arguments)
        out, err = process.communicate(timeout=DEADLINE)
        assert "Traceback" not in err
        return process.returncode, out, err

    return to_the_end


@pytest.fixture
def s3tui(tmp_path):
    """Run a command as a user does: exit code, stdout, stderr."""

    def command(*arguments, **environment):
        done = subprocess.run(
            [sys.executable, "-m", "s3tui", *arguments],
            cwd=tmp_path, env=os.environ | environment, capture_output=True, text=True, timeout=DEADLINE,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout, done.stderr

    return command


@pytest.fixture
def told(s3tui):
    """What a command prints with --json."""

    def as_json(*arguments):
        code, out, err = s3tui(*arguments, "--json")
        assert code == 0, err
        return json.loads(out)

    return as_json


@pytest.fixture
def states(workspace):
    """Where each run of the suite stands now."""

    def now():
        return {found.name.partition("/")[2]: found.status.name for found in find_runs(workspace.path)}

    return now
