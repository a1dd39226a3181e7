"""What all tests share: their settings, and suites of stand-in workers of which nothing is left behind."""

import json
import os
import subprocess
import sys

import pytest
from hypothesis import settings
from processes import DEADLINE, SUITE, drive, nothing_left

# Set before anything imports torch: on shared cores, more threads than cores are several times slower.

os.environ.setdefault("OMP_NUM_THREADS", "1")
# The colours of a terminal that runs the tests are not those of the commands under test.
os.environ.pop("NO_COLOR", None)
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# How long an example takes says how busy the machine is.
settings.register_profile("s3tui", deadline=None)
settings.load_profile("s3tui")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Tests neither see nor fill the cache of whoever runs them."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


WITH_LONG_RUNS = (
    "tests/runs/test_archive.py", "tests/whole/test_suite.py", "tests/safety/test_commands_at_a_terminal.py",
    "tests/plugins/test_method_from_a_package.py",
)  # fmt: skip


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """All tests of the cluster go to one process, so that there is one cluster, and those of files whose fixtures are
    long runs, so that these are done once.

    The mark `xdist_group` would say so, but xdist 3.8 writes it into the ids of tests, and pytest 9.2 does not let it.
    """
    from xdist.scheduler import LoadGroupScheduling

    class OneCluster(LoadGroupScheduling):
        def _split_scope(self, nodeid):
            if nodeid.startswith(("tests/launchers/slurm/", "tests/launchers/test_laws")):
                return "slurm"
            return next((file for file in WITH_LONG_RUNS if nodeid.startswith(file)), nodeid)

    return OneCluster(config, log) if config.getvalue("dist") == "loadgroup" else None


@pytest.fixture
def workspace(tmp_path):
    """The workspace of the suites of a test; what runs there at the end is killed."""
    from s3tui.runs.workspace import Workspace

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

    from s3tui.runs.workspace import find_runs

    def now():
        return {found.name.partition("/")[2]: found.status.name for found in find_runs(workspace.path)}

    return now
