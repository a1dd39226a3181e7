"""The suites that come with s3tui have the settings of the paper, and need no hub to be read."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from processes import DEADLINE

from core.run.spec import PAPER_SEARCH
from s3tui.suite.load import load

ROOT = Path(__file__).parents[2]
# These read their data from a folder, without which they do not validate: test_offline_suite.py, test_proof_suite.py.
FROM_FOLDERS = ("offline-", "proof")
SUITES = sorted(path for path in (ROOT / "suites").glob("*.toml") if not path.name.startswith(FROM_FOLDERS))

# Batch size, epochs, steps between evaluations: of the search, and of the retraining.
SCRIPTS = {
    "cola": ((32, 15, 100), (32, 15, 100)),
    "mnli": ((32, 1, 200), (32, 3, 500)),
    "mrpc": ((32, 20, 50), (32, 20, 50)),
    "qnli": ((32, 4, 200), (32, 4, 200)),
    "qqp": ((32, 1, 200), (32, 3, 500)),
    "sst2": ((32, 5, 150), (32, 5, 150)),
    "stsb": ((32, 15, 50), (32, 15, 50)),
    "superglue-boolq": ((16, 15, 200), (16, 15, 200)),
    "superglue-cb": ((15, 40, 20), (16, 40, 20)),
    "superglue-copa": ((16, 40, 20), (16, 40, 20)),
    "superglue-multirc": ((16, 40, 20), (16, 40, 20)),
    "superglue-record": ((5, 1, 200), (8, 1, 200)),
    "superglue-rte": ((16, 20, 50), (16, 20, 50)),
    "superglue-wic": ((16, 15, 100), (16, 15, 100)),
}


def lengths(settings):
    return settings.batch_size, settings.epochs, settings.eval_every


@pytest.mark.parametrize("file", SUITES, ids=lambda file: file.stem)
def test_it_validates_without_a_hub(file, tmp_path):
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-m", "s3tui", "validate", str(file)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=DEADLINE,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, f"next: s3tui run {file}\n")
    assert "its rows come from the hub" in done.stdout or "offline" in file.stem
    assert f"in {ROOT / 'runs' / file.stem}" in done.stdout


@pytest.mark.parametrize(("name", "space"), [("s3pet-m", "mix-low-rank"), ("s3pet-l", "lora-all-rank1")])
def test_the_paper_s_suites_have_its_tasks_budgets_seeds_and_lengths(name, space):
    specs = [run.spec for run in load(ROOT / "suites" / f"{name}.toml").runs]
    assert len(specs) == 14 * 2 * 5
    assert {(s.task.name, lengths(s.search), lengths(s.retrain)) for s in specs} == {
        (task, *both) for task, both in SCRIPTS.items()
    }
    for task in SCRIPTS:
        mine = [s for s in specs if s.task.name == task]
        assert {(s.budget, s.seed) for s in mine} == {(b, 100 + i) for b in (1.389e-4, 3.48e-5) for i in range(5)}
        # Its valid_batch_size is that of evaluations; gates see batches of train_batch_size.
        assert {s.eval_batch_size for s in mine} == {32 if task == "superglue-record" else 128}
        assert {s.search.validation_batch_size for s in mine} == {None}
    for spec in specs:
        assert (spec.model, spec.space.name, spec.method) == ("t5-large", space, "s3")
        assert (spec.search.learning_rate, spec.search.alpha_learning_rate, spec.retrain.learning_rate) == (
            3e-4,
            0.1,
            3e-4,
        )
        assert PAPER_SEARCH.items() <= spec.search.model_dump().items()


def test_the_example_is_that_of_the_paper_s_readme():
    runs = {run.name: run.spec for run in load(ROOT / "suites" / "cb-example.toml").runs}
    assert set(runs) == {"searched", "as-published"}
    for spec in runs.values():
        assert (spec.model, spec.task.name, spec.space.name) == ("t5-large", "superglue-cb", "mix-low-rank")
        assert (spec.budget, spec.seed) == (1.389e-4, 100)
        assert (lengths(spec.search), lengths(spec.retrain)) == ((4, 1, 30), (4, 1, 60))
        assert (spec.search.validation_batch_size, spec.eval_batch_size, spec.search.learning_rate) == (None, 32, 3e-4)
        assert (spec.search.alpha_learning_rate, spec.retrain.learning_rate) == (0.1, 3e-4)
