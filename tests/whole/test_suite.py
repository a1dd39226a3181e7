"""The main job as a user does it: a TOML, one command, real child processes, a table at the end."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import make_run, save_model, save_reviews, space

from core.run.rundir import RunDir, read_json
from core.run.spec import RunSpec
from core.run.structure import Structure

ROOT = Path(__file__).resolve().parents[2]
SUITE = """
[suite]
name = "whole"
threads = 1

[defaults]
model = "model"
task = { path = "reviews.jsonl", text = "text", label = "label", max_length = 24 }
space = "mix-low-rank"
budget = 300

[defaults.search]
max_steps = 4
eval_every = 2
batch_size = 8

[defaults.retrain]
max_steps = 6
eval_every = 3
batch_size = 8

[experiment.searched]

[experiment.by-chance]
method = "random"
matrix = { seed = [0, 1] }

[experiment.lora]
method = "fixed"
space = "qv"
budget = "none"

[space.qv]
"attn.{q,v}" = ["lora(rank=1)"]
"""
RUNS = ("searched", "by-chance/seed=0", "by-chance/seed=1", "lora")


COMMAND = Path(sys.executable).with_name("s3tui")


def s3tui(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMMAND, *arguments], cwd=folder, capture_output=True, text=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A user's folder after `s3tui run suite.toml`; beside the suite is a `core` folder of the user's own."""
    root = tmp_path_factory.mktemp("whole")
    save_model("bert", root / "model")
    save_reviews(root / "reviews.jsonl")
    (root / "suite.toml").write_text(SUITE)
    (root / "core").mkdir()
    (root / "core" / "__init__.py").write_text("raise RuntimeError('not this one')")
    return root


@pytest.fixture(scope="module")
def first(folder) -> subprocess.CompletedProcess[str]:
    done = s3tui(folder, "run", "suite.toml")
    assert done.returncode == 0, done.stderr
    return done


def test_every_run_leaves_its_results(folder, first):
    for name in RUNS:
        run = RunDir(folder / "runs" / "whole" / name)
        assert read_json(run.result)["score"] >= 0
        assert read_json(run.summary)["status"] == "finished"
        structure = Structure.from_json(read_json(run.structure))
        assert structure.budget is None or structure.parameters <= 300


def test_the_last_thing_on_the_screen_is_the_table(folder, first):
    for experiment in ("searched", "by-chance", "lora"):
        assert experiment in first.stdout
    assert "accuracy" in first.stdout


def test_results_are_rows_by_experiment(folder, first):
    rows = json.loads(s3tui(folder, "results", "suite.toml", "--json").stdout)["rows"]
    assert {(row["experiment"], row["method"], row["runs"]) for row in rows} == {
        ("searched", "s3", 1), ("by-chance", "random", 2), ("lora", "fixed", 1),
    }  # fmt: skip
    by_name = {row["experiment"]: row for row in rows}
    scores = [read_json(RunDir(folder / "runs/whole/by-chance" / f"seed={s}").result)["score"] for s in (0, 1)]
    assert by_name["by-chance"]["score_mean"] == pytest.approx(sum(scores) / 2)
    assert by_name["lora"]["budget"] is None
    assert by_name["lora"]["parameters"] == 4 * 2 * 32


def test_a_second_run_does_nothing_that_is_done(folder, first):
    before = (folder / "runs/whole/searched/result.json").stat().st_mtime_ns
    again = s3tui(folder, "run", "suite.toml")
    assert again.returncode == 0
    assert (folder / "runs/whole/searched/result.json").stat().st_mtime_ns == before


def test_other_settings_never_overwrite_a_run(folder, first):
    (folder / "other.toml").write_text(
        SUITE.replace("max_steps = 4", "max_steps = 5").replace("budget = 300", "budget = 301")
    )
    refused = s3tui(folder, "run", "other.toml", "--only", "searched")
    assert refused.returncode == 2
    assert "--fresh" in refused.stderr
    assert "budget" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_bad_run_is_one_line_and_the_others_go_on(folder, first):
    bad = SUITE.replace('name = "whole"', 'name = "bad"').replace(
        "[experiment.searched]", "[experiment.searched]\nbudget = 5"
    )
    (folder / "bad.toml").write_text(bad)
    done = s3tui(folder, "run", "bad.toml", "--only", "searched", "--only", "lora")
    assert done.returncode == 2
    assert "below the smallest candidate" in done.stderr
    assert "Traceback" not in done.stderr
    assert RunDir(folder / "runs/bad/lora").result.exists()


def test_the_default_suite_is_valid_and_offline():
    done = s3tui(ROOT, "validate", "experiments.toml", "--json")
    assert done.returncode == 0, done.stderr
    runs = json.loads(done.stdout)["runs"]
    assert {run["method"] for run in runs} >= {"s3", "random", "fixed"}
    assert {run["task"] for run in runs} == {"icd10-chapter"}


def test_the_builtin_model_learns_the_builtin_task(tmp_path):
    """Real weights, real text: a few steps of everything that the default suite does."""
    spec = RunSpec(
        model="builtin:minilm", task={"name": "icd10-chapter", "per_class": 20}, space=space(), budget=4e-4,
        search={"max_steps": 2, "eval_every": 2, "batch_size": 4, "hypergradient": "forward-difference"},
        retrain={"max_steps": 2, "eval_every": 2, "batch_size": 4},
    )  # fmt: skip
    run = make_run(tmp_path / "run", spec)
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-m", "core", run.path], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = read_json(run.result)
    assert result["backbone_parameters"] == 22_713_216
    assert result["budget"] == 9085
    assert 0 < result["parameters"] <= 9085
    assert result["head_parameters"] == 21 * 385


def test_the_suite_of_the_readme_is_valid(tmp_path):
    (block,) = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    rows = [
        {"title": f"title {i}", "body": f"a text of number {i}", "stars": "good" if i % 2 else "bad"} for i in range(60)
    ]
    (tmp_path / "reviews.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (tmp_path / "suite.toml").write_text(block)
    done = s3tui(tmp_path, "validate", "suite.toml")
    assert done.returncode == 0, done.stderr
