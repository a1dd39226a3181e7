"""What can be told without a cluster: the [launcher] table, the batch script, what the answers of Slurm amount to."""

import json

import pytest

from core.run.fields import read
from s3tui.launchers.job_reports import request_for
from s3tui.launchers.slurm.client import read_sacct, read_squeue, report
from s3tui.launchers.slurm.options import JobOptions, job_options
from s3tui.launchers.slurm.settings import seconds_of
from s3tui.runs.records.former_job import meaning
from s3tui.runs.records.job import Job
from s3tui.runs.records.launch import Launch
from s3tui.runs.records.process import Exit, Process
from s3tui.runs.records.queue import Queue
from s3tui.runs.status import Facts, status_of
from s3tui.suite.launcher_settings import launch
from s3tui.suite.load import load
from s3tui.system.process_identity import Identity
from s3tui.text.problems import ConfigError, Problems

SUITE = """
[suite]
name = "first"
[defaults]
model = "succeed"
task = "icd10-chapter"
space = "mix-low-rank"
budget = 4e-4
"""
WORKER = Identity(7, 70, "another machine's boot")


def job(state="RUNNING", **more):
    return Job("slurm", "ab", 3, "12_3", state=state, **meaning(state), **more)


JOB = job(node="n7")
PROCESS = Process(WORKER, WORKER, "n7", "slurm 12_3 n7", 0.0, 60.0, 0, 0, job="12_3")
ASKED = {"worker": WORKER, "code": 1, "signal": None, "out_of_memory": False, "seconds": 1.0, "peak_memory_bytes": 1}


def launches(tmp_path, text):
    file = tmp_path / "suite.toml"
    file.write_text(SUITE + text)
    return {run.name: run.queue.launch for run in load(file).runs}


def test_without_the_table_runs_stay_on_this_machine(tmp_path):
    assert launches(tmp_path, "[experiment.x]\n") == {"x": Launch("local")}


def test_an_experiment_asks_for_something_else_key_by_key_and_remains_the_same_run(tmp_path):
    text = '[launcher]\npartition = "gpu"\ncpus = 4\n[experiment.x]\n[experiment.y]\nseed = 1\n'
    own = '[experiment.y.launcher]\ncpus = 8\nmemory = "32GB"\n'
    assert launches(tmp_path, text + own) == {
        "x": Launch("auto", {"partition": "gpu", "cpus": 4}),
        "y": Launch("auto", {"partition": "gpu", "cpus": 8, "memory": 32 * 10**9}),
    }
    file = tmp_path / "suite.toml"
    with_launcher = {run.name: run.spec.digest() for run in load(file).runs}
    file.write_text(SUITE + "[experiment.x]\n[experiment.y]\nseed = 1\n")
    assert with_launcher == {run.name: run.spec.digest() for run in load(file).runs}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('kind = "slrm"', "launcher.kind: should be one of local, slurm, auto"),
        ('partion = "gpu"', "launcher.partion: unknown key, did you mean 'partition'"),
        ('time = "2 days"', "launcher.time: should be a time as Slurm writes it"),
        ('time = "1"', "launcher.time: should be longer than warn_seconds, which is 120"),
        ('memory = "lots"', 'launcher.memory: should be a size in quotes, as in "20GB"'),
        ("cpus = 0", "launcher.cpus: should be a whole number of 1 or more"),
        ('setup = "module load x"', "launcher.setup: should be a list of lines"),
        ("sbatch = { array = 3 }", "launcher.sbatch.array: is set by s3tui itself"),
        ('sbatch = { mem = "3G" }', "launcher.sbatch.mem: is the launcher's own key memory"),
        ('sbatch = { mail-type = ["END"] }', "launcher.sbatch.mail-type: should be a text, a whole number or true"),
    ],
)
def test_every_fault_of_the_table_is_told_at_its_key(tmp_path, line, problem):
    with pytest.raises(ConfigError) as told:
        launches(tmp_path, f"[launcher]\n{line}\n[experiment.x]\n")
    assert any(problem in line for line in told.value.problems), told.value.problems


@pytest.mark.parametrize(
    ("time", "seconds"),
    [("90", 5400), ("90:30", 5430), ("12:00:00", 43200), ("2-00", 172800), ("1-01:30", 91800), ("1-00:00:01", 86401)],
)
def test_a_time_limit_is_read_as_slurm_reads_it(time, seconds):
    assert seconds_of(time) == seconds


def test_what_a_run_asks_of_a_cluster_comes_back_from_its_queue_file():
    table = {"kind": "slurm", "gres": "gpu:1", "setup": ["a", "b"], "sbatch": {"mail-type": "END", "exclusive": True}}
    wanted = launch(table, ("launcher",), Problems("f"))
    queue = read(Queue, json.loads(json.dumps(Queue(launch=wanted).to_json())))
    assert queue.launch == wanted
    assert job_options(queue.launch.options) == JobOptions(
        gres="gpu:1", setup=("a", "b"), sbatch=(("mail-type", "END"), ("exclusive", True))
    )


def test_a_dry_run_prints_the_script_of_the_one_array_and_submits_nothing(tmp_path, s3tui):
    text = '[launcher]\nkind = "slurm"\npartition = "gpu"\ngres = "gpu:1"\ntime = "12:00:00"\nparallel = 2\n'
    setup = 'setup = ["module load cuda"]\n[launcher.sbatch]\nmail-type = "END"\n'
    (tmp_path / "suite.toml").write_text(SUITE + text + setup + "[experiment.x]\nmatrix = { seed = [0, 1, 2] }\n")
    code, script, _ = s3tui("run", "suite.toml", "--dry-run")
    assert code == 0
    lines = script.splitlines()
    for option in ("array=0-2%2", "partition=gpu", "gres=gpu:1", "time=12:00:00", "mail-type=END", "requeue"):
        assert f"#SBATCH --{option}" in lines
    assert lines.index("module load cuda") < next(n for n, line in enumerate(lines) if line.startswith("exec "))
    assert "# task 2: first/x/seed=2" in lines
    assert not (tmp_path / "runs").exists()
    assert s3tui("run", "suite.toml", "--dry-run", "--launcher", "local")[1] == ""


def test_more_runs_than_slurm_allows_in_an_array_become_several_in_the_dry_run_too(tmp_path, s3tui):
    text = f'[launcher]\nkind = "slurm"\n[experiment.x]\nmatrix = {{ seed = {list(range(1001))} }}\n'
    (tmp_path / "suite.toml").write_text(SUITE + text)
    code, script, _ = s3tui("run", "suite.toml", "--dry-run")
    assert code == 0
    assert [line for line in script.splitlines() if "--array=" in line] == [
        "#SBATCH --array=0-999%1000", "#SBATCH --array=0-0%1",
    ]  # fmt: skip
    assert script.splitlines().count("# task 0: first/x/seed=1000") == 1


def test_the_answers_of_squeue_and_sacct_are_read():
    told = read_squeue("12_3|PENDING|Priority||0|0|s3tui-ab|\n7|FAILED|None|n[1-2]|768|1|a|b|\nno such line\n")
    assert told["12_3"] == report("PENDING", "s3tui-ab", "3", reason="Priority", exit_code="0:0")
    assert told["7"] == report("FAILED", "a|b", "7", node="n[1-2]", exit_code="3:0", restarts=1)
    told = read_sacct("12_3|CANCELLED by 1000|0:15|n7\n12_4|COMPLETED|0:0|n8\n", ["12_3"])
    assert told == {"12_3": report("CANCELLED", node="n7", exit_code="0:15")}


def state(job, queue=None, **facts):
    return status_of(Facts(queue or Queue(settled="another"), job=job, host="login", **facts))


def test_slurm_alone_says_whether_a_job_lives():
    ended = Exit(**ASKED, asked="")
    assert state(JOB, process=PROCESS, heartbeat_age=1e6).name == "running"
    assert state(job("GONE"), process=PROCESS, heartbeat_age=0.0).name == "dead"
    assert state(JOB, process=PROCESS, exit=ended).name == "dead"  # its worker ended by itself
    # What was asked to end, as by a requeue, may come back with the same job.
    asked = Exit(**ASKED, asked="stop")
    assert state(JOB, process=PROCESS, exit=asked).name == "running"
    assert state(job("PENDING", reason="BeginTime"), process=PROCESS, exit=asked).name == "queued"


@pytest.mark.parametrize(
    ("ended_as", "name", "note"),
    [
        ("CANCELLED", "cancelled", "its job was cancelled outside s3tui"),
        ("NODE_FAIL", "dead", "a node of its job failed"),
        ("PREEMPTED", "dead", "its job was preempted"),
        ("OUT_OF_MEMORY", "dead", "used more memory than it asked for"),
        ("TIMEOUT", "dead", "ran out of time"),
        ("FAILED", "dead", "ended as FAILED with exit code 3"),
    ],
)
def test_the_end_of_a_job_is_told_as_what_it_was(ended_as, name, note):
    status = state(job(ended_as, exit_code="3:0"), process=PROCESS)
    assert status.name == name
    assert note in status.note


def test_a_run_that_was_stopped_before_its_worker_began_is_paused_and_one_that_failed_there_is_dead():
    failed = job("FAILED", exit_code="0:12")
    assert state(failed, Queue(wanted="held", reason="stopped on demand")).name == "paused"
    assert state(failed, Queue(wanted="held", settled=failed.attempt)).name == "dead"


def test_a_job_that_left_no_checkpoint_in_its_time_is_not_requeued_for_ever():
    status = state(job("FAILED"), process=PROCESS, exit=Exit(**ASKED, asked="too slow"))
    assert (status.name, status.kind) == ("failed", "time-limit")


@pytest.mark.parametrize(
    ("wanted", "job_state", "held", "paused", "expected"),
    [
        ("queued", "PENDING", False, False, None),
        ("queued", "PENDING", False, True, "hold"),
        ("queued", "PENDING", True, False, "release"),
        ("held", "PENDING", False, False, "hold"),
        ("held", "PENDING", True, False, None),
        ("held", "RUNNING", False, False, "stop"),
        ("queued", "RUNNING", False, True, None),
        ("cancelled", "RUNNING", False, False, "cancel"),
        ("cancelled", "COMPLETED", False, False, None),
    ],
)
def test_slurm_is_asked_for_what_it_does_not_do_yet(wanted, job_state, held, paused, expected):
    assert request_for(Queue(wanted=wanted), job(job_state, held=held), paused) == expected
