"""What every launcher does, whatever its cluster: this machine, a real Slurm, and one of another package."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from processes import DEADLINE, STAND_IN, is_alive, kill, nothing_left, wait_until

from core.run.events import Finished, Started, read_events
from s3tui.runs.records.job import read_job
from s3tui.runs.records.process import read_exit, read_process
from s3tui.runs.workspace import Workspace, read_run
from s3tui.system.cpu import usable_cores

HERE = Path(__file__).parent
SUITE = """
[suite]
name = "first"
threads = {threads}
[launcher]
{launcher}
[defaults]
model = "until-told"
task = "icd10-chapter"
space = "mix-low-rank"
budget = 4e-4
"""
TWO = "[experiment.one]\n[experiment.two]\nseed = 1\n"


class Local:
    """This machine, with room for one run."""

    name, launcher, threads = "local", 'kind = "local"', usable_cores()

    def lose(self, process, job):
        for pid in (process.supervisor.pid, process.worker.pid):
            kill(pid, signal.SIGKILL)


class Slurm:
    """A cluster that runs one task of an array at a time."""

    name, launcher, threads = "slurm", 'kind = "slurm"\nparallel = 1', 1

    def __init__(self, cluster):
        self.cluster = cluster

    def lose(self, process, job):
        """A node fails, and Slurm is told that the job is not to come back."""
        assert self.cluster.ask("scontrol", "update", f"JobId={job.id}", "Requeue=0").returncode == 0
        step = int(Path(f"/proc/{process.supervisor.pid}/stat").read_text().rpartition(")")[2].split()[1])
        node = process.where.split()[2]
        self.cluster.crash_node(node, [step, process.supervisor.pid, process.worker.pid])
        self.cluster.start_node(node)


class Folder:
    """The launcher of `folder_launcher`, as an installed package brings it; its cluster has one slot."""

    name, launcher, threads = "folder", 'kind = "folder"\nslots = 1', 1

    def __init__(self, root):
        self.root = root

    def lose(self, process, job):
        (self.root / "requests" / f"{job.id}-forget").touch()
        wait_until(lambda: not (self.root / "states" / job.id).exists())
        for pid in (process.supervisor.pid, process.worker.pid):
            kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def folder_cluster(tmp_path_factory):
    """The daemon, and the metadata of a package with the entry point."""
    root = tmp_path_factory.mktemp("folder")
    package = tmp_path_factory.mktemp("site") / "folder-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: folder\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[s3tui.launchers]\nfolder = folder_launcher:FolderLauncher\n")
    path = os.pathsep.join((str(HERE), str(package.parent), os.environ.get("PYTHONPATH", ""))).rstrip(os.pathsep)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", path)
        patch.setenv("FOLDER_CLUSTER", str(root))
        daemon = subprocess.Popen([sys.executable, HERE / "folder_daemon.py", root, "1"], start_new_session=True)
        try:
            wait_until((root / "slots").exists)
            yield root
        finally:
            daemon.terminate()
            daemon.wait()


@pytest.fixture(params=["local", "slurm", "folder"])
def place(request):
    if request.param == "local":
        return Local()
    there = request.getfixturevalue("cluster" if request.param == "slurm" else "folder_cluster")
    return Slurm(there) if request.param == "slurm" else Folder(there)


@pytest.fixture
def workspace(tmp_path, place):
    with nothing_left(tmp_path / "runs"):
        yield Workspace(tmp_path / "runs")
        for name in Workspace(tmp_path / "runs").names():
            s3tui_in(tmp_path, "cancel", name, "--in", "runs")


def s3tui_in(folder, *arguments):
    command = [sys.executable, "-m", "s3tui", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=3 * DEADLINE, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def s3tui(tmp_path):
    return lambda *arguments: s3tui_in(tmp_path, *arguments)


@pytest.fixture
def drive(tmp_path, place, workspace):
    """Run a suite with the stand-in for the worker, in a process of its own; without one dispatch what is there."""

    def start(experiments=""):
        file = tmp_path / "suite.toml"
        what = [str(file)] if experiments else ["attach", str(workspace.path)]
        if experiments:
            file.write_text(SUITE.format(launcher=place.launcher, threads=place.threads) + experiments)
        return subprocess.Popen(
            [*STAND_IN, "drive", *what], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip

    return start


class Run:
    """A run of the suite as its files say it is."""

    def __init__(self, workspace, name):
        self.name, self.directory = name, workspace.run(f"first/{name}")

    @property
    def status(self):
        return read_run(self.directory, self.name).status

    def go(self):
        (self.directory.path / "go").touch()

    def at_work(self, attempt=1):
        """Wait until a worker is; its process."""
        wait_until(lambda: len(self.told(Started)) == attempt and self.status.name == "running")
        return read_process(self.directory)

    def told(self, kind):
        return [event for event in read_events(self.directory.events)[0] if isinstance(event, kind)]


@pytest.fixture
def one(workspace):
    return Run(workspace, "one")


@pytest.fixture
def two(workspace):
    return Run(workspace, "two")


def finish(process):
    _, err = process.communicate(timeout=2 * DEADLINE)
    assert "Traceback" not in err
    return process.returncode, err


def test_a_run_starts_where_it_is_shown_and_another_says_why_it_waits(place, drive, s3tui, one, two):
    process = drive(TWO)
    where = one.at_work().where
    rows = wait_until(lambda: listed(s3tui, device=where))
    assert (rows["first/one"]["status"], rows["first/two"]["status"]) == ("running", "queued")
    wait_until(lambda: listed(s3tui)["first/two"]["note"])
    job = read_job(one.directory)
    assert (job.launcher if job else "local") == place.name
    one.go()
    two.go()
    code, err = finish(process)
    assert code == 0, err
    assert [run.status.name for run in (one, two)] == ["finished", "finished"]
    assert [len(run.told(Started)) for run in (one, two)] == [1, 1]


def listed(s3tui, device=None):
    rows = {row["name"]: row for row in json.loads(s3tui("list", "--in", "runs", "--json")[1])["runs"]}
    return rows if device is None or rows["first/one"]["device"] == device else None


def test_what_a_dispatcher_that_died_had_started_is_adopted_by_the_next_one(drive, one, two):
    process = drive(TWO)
    before = one.at_work()
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert one.status.name == "running"
    other = drive()
    one.go()
    two.go()
    assert finish(other)[0] == 0
    assert [type(event) for run in (one, two) for event in run.told((Started, Finished))] == [Started, Finished] * 2
    assert read_process(one.directory) == before


def test_a_run_stops_through_a_checkpoint_and_goes_on_when_it_is_resumed(drive, s3tui, one):
    process = drive('[experiment.one]\nmodel = "stops-on-term"\n')
    one.at_work()
    code, out, err = s3tui("stop", "one", "--in", "runs")
    assert (code, out.strip()) == (0, "first/one: stopped"), err
    assert (one.status.name, one.status.note) == ("paused", "stopped on demand")
    assert read_exit(one.directory).asked == "stop"
    finish(process)
    assert s3tui("resume", "one", "--in", "runs")[0] == 0
    process = drive()
    one.at_work(attempt=2)
    assert s3tui("stop", "--now", "one", "--in", "runs")[1].strip() == "first/one: killed"
    assert one.status.name == "paused"
    finish(process)


def test_what_is_cancelled_ends_at_once_whether_it_works_or_waits(drive, s3tui, one, two):
    process = drive(TWO)
    worker = one.at_work().worker.pid
    for name in ("two", "one"):
        code, out, err = s3tui("cancel", name, "--in", "runs")
        assert (code, out.strip()) == (0, f"first/{name}: cancelled"), err
    wait_until(lambda: not is_alive(worker))
    finish(process)
    assert [run.status.name for run in (one, two)] == ["cancelled", "cancelled"]
    assert not two.told(Started)


def test_a_run_that_is_held_while_it_waits_starts_once_it_is_resumed(drive, s3tui, one, two):
    process = drive(TWO)
    one.at_work()
    wait_until(lambda: s3tui("stop", "two", "--in", "runs")[1].strip() == "first/two: paused already")
    one.go()
    finish(process)
    assert (one.status.name, two.status.name) == ("finished", "paused")
    assert s3tui("resume", "two", "--in", "runs")[0] == 0
    two.go()
    assert finish(drive())[0] == 0
    assert two.status.name == "finished"


def test_a_run_that_is_lost_without_a_word_is_tried_again(place, drive, one):
    process = drive("[experiment.one]\n")
    lost = one.at_work()
    place.lose(lost, read_job(one.directory))
    one.at_work(attempt=2)
    one.go()
    code, err = finish(process)
    assert code == 0, err
    assert one.status.name == "finished"
    assert read_process(one.directory) != lost


def test_a_fault_of_its_table_is_reported_at_its_key_and_nothing_is_queued(place, drive, s3tui, workspace):
    code, err = finish(drive("[experiment.one]\n[experiment.two]\nseed = 1\nlauncher = { nonsense = 1 }\n"))
    assert code == 2
    assert "experiment.two.launcher.nonsense: unknown key" in err
    assert not workspace.path.exists()


def test_a_launcher_that_is_not_there_is_named_with_the_nearest_one(tmp_path):
    (tmp_path / "suite.toml").write_text(SUITE.format(launcher='kind = "local"', threads=1) + TWO)
    code, _, err = s3tui_in(tmp_path, "run", "suite.toml", "--launcher", "lokal")
    assert (code, err) == (2, "s3tui: there is no launcher called 'lokal': did you mean 'local'?\n")
    assert not (tmp_path / "runs").exists()


def test_a_dry_run_submits_nothing(place, drive, s3tui, tmp_path, workspace):
    (tmp_path / "suite.toml").write_text(SUITE.format(launcher=place.launcher, threads=1) + TWO)
    code, out, err = s3tui("run", "suite.toml", "--dry-run")
    assert code == 0, err
    assert ("# task 1: first/two" in out) == (place.name != "local")
    assert ("two: runs on this machine" in err) == (place.name == "local")
    assert not workspace.path.exists()


def test_what_it_keeps_beside_the_runs_is_garbage_once_they_have_ended(place, drive, s3tui, one, workspace):
    process = drive("[experiment.one]\n")
    one.at_work()
    assert s3tui("gc", "--in", "runs")[0] == 0  # deletes nothing that a run needs
    one.go()
    assert finish(process)[0] == 0
    assert s3tui("gc", "--in", "runs")[0] == 0
    kept = workspace.of_launcher(place.name)
    assert not kept.exists() or not [path for path in kept.iterdir() if path.is_dir()]
    assert one.status.name == "finished"
