"""A race with the true worker and a tiny model, whose dispatcher is killed on the way."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from processes import DEADLINE, nothing_left, wait_until
from support import save_model, save_reviews

from core.run.events import Eval, read_events
from core.run.rundir import RunDir, read_json

SUITE = """
[suite]
name = "true"
threads = 1
[experiment.best]
race = { rungs = [2, 4], keep = 0.5, confirm = 1, final = 2 }
matrix = { method = ["random", "saliency"] }
model = "model"
task = { path = "reviews.jsonl", text = "text", label = "label", max_length = 24 }
space = "mix-low-rank"
budget = 300
search = { batch_size = 8 }
saliency = { batches = 2, head_steps = 1 }
retrain = { batch_size = 8, eval_every = 2, learning_rate = 1e-2 }
"""


@pytest.fixture
def folder(tmp_path):
    save_model("bert", tmp_path / "model")
    save_reviews(tmp_path / "reviews.jsonl", rows=60)
    (tmp_path / "suite.toml").write_text(SUITE)
    with nothing_left(tmp_path / "runs"):
        yield tmp_path


def splits(run):
    return {event.split for event in read_events(run.events)[0] if isinstance(event, Eval)}


def test_a_race_of_true_workers_tests_the_finalists_on_fresh_seeds_alone(folder):
    command = [str(Path(sys.executable).with_name("s3tui")), "run", "suite.toml"]
    pipes = {"cwd": folder, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    first = subprocess.Popen(command, **pipes)
    arms = [RunDir(folder / f"runs/true/best/method={method}") for method in ("random", "saliency")]
    wait_until(lambda: any(splits(arm) for arm in arms))
    first.kill()
    first.communicate(timeout=DEADLINE)
    done = subprocess.run(command, **(pipes | {"timeout": 3 * DEADLINE}), check=False)
    assert done.returncode == 0, done.stderr
    assert "Train method=" in done.stdout
    assert "p in percent; * chosen" in done.stdout
    assert all(splits(arm) == {"validation"} and not arm.result.exists() for arm in arms)
    shown = subprocess.run(
        [command[0], "race", "show", "best", "--json", "--in", "runs"], **pipes, check=True, timeout=DEADLINE
    )
    race = json.loads(shown.stdout)
    ranking = race["answer"]["ranking"]
    assert [(arm["seeds"], arm["metric"]) for arm in ranking] == [(1, "accuracy")] * 2
    for name in race["confirmations"]:
        spec, result = (read_json(folder / "runs" / name / file) for file in ("spec.json", "result.json"))
        arm = spec["space"]["name"].removeprefix("run:")
        structure = read_json(folder / "runs" / arm / "structure.json")
        # What saliency has found for the start of retraining is handed over with the structure.
        start, source = ("searched", arm) if arm.endswith("saliency") else ("scratch", None)
        assert (spec["method"], spec["seed"], spec["retrain"]["start"]) == ("given", 1, start)
        assert result.get("search_from") == source
        chosen = [candidate for candidate in structure["candidates"] if candidate["selected"]]
        assert result["parameters"] == sum(candidate["parameters"] for candidate in chosen)
