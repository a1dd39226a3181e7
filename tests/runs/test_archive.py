"""What earlier versions left on disk: it is shown as they showed it, and goes on from where they left it."""

import json
import subprocess
import sys

import archived
import pytest
from archived import CLUSTER, LOCAL, VERSIONS, as_json, command, environment, expected, unpack
from processes import nothing_left

WAITED = ("tiny/paused", "tiny/cut-off", "tiny/waiting", "tiny/after")


@pytest.fixture(scope="module", params=VERSIONS)
def version(request):
    return request.param


@pytest.fixture(scope="module")
def old(version, tmp_path_factory):
    """An archive that is only looked at."""
    return unpack(version, tmp_path_factory.mktemp("old"))


@pytest.fixture(scope="module")
def continued(version, tmp_path_factory):
    """An archive in which whatever waited, was paused or was cut off has come to its end."""
    root = unpack(version, tmp_path_factory.mktemp("continued"))
    with nothing_left(root / LOCAL):
        for words in (("resume", "paused"), ("retry", "cut-off"), ("resume",), ("attach",)):
            done = command(root, *words, "--in", LOCAL)
            assert done.returncode == 0, done.stderr
        yield root


def events(root, run, kind):
    lines = (root / LOCAL / run / "events.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["type"] == kind]


def files_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("workspace", [LOCAL, CLUSTER])
def test_every_run_of_an_old_workspace_is_shown_as_its_own_version_showed_it(old, version, workspace):
    assert archived.observed(old, workspace) == expected(version)[workspace]


def test_a_suite_of_before_finds_its_finished_runs_and_does_none_again(old, version):
    finished = [n for n, run in expected(version)[LOCAL]["runs"].items() if run["status"] == "finished"]
    before = files_of(old / LOCAL / "tiny")
    only = [word for name in finished for word in ("--only", name.removeprefix("tiny/"))]
    done = command(old, "run", "tiny.toml", *only)
    assert done.returncode == 0, done.stderr
    assert len(finished) == 8
    assert files_of(old / LOCAL / "tiny") == before


def test_a_suite_of_before_does_not_mix_its_runs_with_those_of_another_default(old, tmp_path):
    suite = (old / "tiny.toml").read_text()
    for line in ('step_scale = "shared"', "warmup_steps = 0", 'start = "scratch"'):
        suite = suite.replace(f"{line}\n", "")
    (old / "as-it-was.toml").write_text(suite)
    done = command(old, "run", "as-it-was.toml", "--only", "searched/seed=0")
    assert done.returncode == 2, done.stderr
    assert "step_scale is 'shared' there and 'balanced' now" in done.stderr
    assert "search.warmup_steps is 0 there and 0.1 now" in done.stderr


def test_old_searches_have_a_verdict_too(old):
    told = as_json(old, "results", LOCAL)
    words = {name.removeprefix("tiny/"): one["word"] for name, one in told["verdicts"].items()}
    few_steps = dict.fromkeys(("ranks", "searched/seed=0", "searched/seed=1"), "near chance")
    assert words == few_steps | {"pruned": "unfinished"}  # its search ended before its first pruning
    (searched,) = [row for row in told["rows"] if row["experiment"] == "tiny/searched"]
    assert 0 < searched["seed_overlap"] < 1
    counts = {one["experiment"].removeprefix("tiny/"): one["structures"] for one in told["rank_correlations"]}
    assert counts == {"ranks": 2, "searched": 3, "pruned": 2}
    assert as_json(old, "show", "searched/seed=0", "--in", LOCAL)["verdict"] == "near chance"


def test_old_runs_are_drawn_and_written_up(old, version, tmp_path):
    for kind in ("structure", "gates", "loss", "budget"):
        drawn = command(old, "plot", "searched/seed=0", "--kind", kind, "--in", LOCAL)
        assert drawn.returncode == 0, drawn.stderr
    assert command(old, "plot", "tiny/*", "--kind", "pareto", "--in", LOCAL).returncode == 0
    for form in ("html", "md"):
        assert command(old, "report", "-o", str(tmp_path / f"report.{form}"), LOCAL).returncode == 0
    report = (tmp_path / "report.md").read_text()
    assert all(name in report for name in ("searched", "pruned", "all", "by-chance", "whole", "carried"))
    overlap = as_json(old, "structure", "diff", "searched/seed=0", "carried", "--in", LOCAL)
    assert overlap["jaccard"] == 1


LOADING = """
import sys, core, transformers
for folder in sys.argv[1:]:
    model = transformers.AutoModelForSequenceClassification.from_pretrained("example/tiny-bert", num_labels=21)
    print(sum(candidate.parameters for candidate in core.load_delta(model, folder).candidates))
"""


def test_what_old_runs_trained_is_exported_and_loads_into_their_model(old, tmp_path):
    exported = str(tmp_path / "exported")
    assert command(old, "export", "ranks", "--to", "delta", "-o", exported, "--in", LOCAL).returncode == 0
    runs = ("ranks", "searched/seed=0", "pruned", "all")  # of which each is such a folder itself
    loading = [sys.executable, "-c", LOADING, exported, *(str(old / LOCAL / "tiny" / run) for run in runs)]
    done = subprocess.run(loading, env=environment(old), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    trained = [as_json(old, "show", run, "--in", LOCAL)["parameters"] for run in ("ranks", *runs)]
    assert [int(line) for line in done.stdout.split()] == trained


def test_a_tracker_is_not_sent_again_what_an_older_version_sent_it(old):
    pytest.importorskip("tensorboard")
    mirror = old / LOCAL / "tiny/ranks/mirror"
    before = files_of(mirror)
    assert command(old, "mirror", "ranks", "--to", "tensorboard", "--in", LOCAL).returncode == 0
    assert files_of(mirror) == before


def test_runs_that_an_older_version_stopped_or_lost_go_on_from_their_checkpoint(continued):
    for run, step in (("tiny/paused", 21), ("tiny/cut-off", 10)):
        (attempt,) = events(continued, run, "started")[1:]
        assert (attempt["resumed_phase"], attempt["resumed_step"]) == ("search", step)
    steps = [(event["phase"], event["step"]) for event in events(continued, "tiny/paused", "step")]
    assert steps == [("search", n) for n in range(1, 151)] + [("retrain", n) for n in range(1, 31)]


def test_whatever_waited_in_an_old_queue_comes_to_a_result_within_its_budget(continued, version):
    before = expected(version)[LOCAL]["runs"]
    now = {run["name"]: run for run in as_json(continued, "list", "--in", LOCAL)["runs"]}
    changed = {name: run["status"] for name, run in now.items() if run["status"] != before[name]["status"]}
    assert changed == dict.fromkeys(WAITED, "finished")
    for name in WAITED:
        assert 0 <= now[name]["score"] <= 1
        assert 0 < now[name]["parameters"] <= now[name]["budget"] == 200
    # It waited for the structure of the other.
    assert as_json(continued, "structure", "diff", "paused", "after", "--in", LOCAL)["jaccard"] == 1


def test_a_batch_script_that_waits_in_a_cluster_still_does_its_run(version, tmp_path):
    root = unpack(version, tmp_path)
    job = json.loads((root / CLUSTER / "cluster/pending/slurm.json").read_text())
    array, _, task = job["id"].partition("_")
    (script,) = (root / CLUSTER / ".s3tui/slurm" / job["batch"]).glob("*_submission.sh")
    slurm = {
        "SLURM_ARRAY_JOB_ID": array, "SLURM_ARRAY_TASK_ID": task, "SLURM_JOB_ID": array, "SLURMD_NODENAME": "n1",
        "SLURM_CPUS_PER_TASK": "1",
    }  # fmt: skip
    done = subprocess.run(["bash", script], env=environment(root) | slurm, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert as_json(root, "show", "pending", "--in", CLUSTER)["status"] == "finished"
