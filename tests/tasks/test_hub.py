"""Named tasks without data_root: what is asked of the hub, and what is said where there is none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import datasets
import pytest

from core.run.errors import DataError
from core.run.task_spec import NamedTask
from core.tasks import load_task

ROW = {"sentence1": "a", "sentence2": "b", "premise": "a", "hypothesis": "b", "question": "q", "context": "c"}
ANSWERS = {"answers": {"text": ["c"], "answer_start": [0]}}
MISSING = """
from core.run.errors import DataError
from core.run.task_spec import NamedTask
from core.tasks import load_task
try:
    load_task(NamedTask(name="superglue-cb"), 0)
except DataError as error:
    print(error)
"""


@pytest.fixture
def asked(monkeypatch) -> list[tuple]:
    """What is asked of the hub, which has the same four rows for all, as its parquet files have them."""
    asked = []

    def answer(repository: str, name: str | None, split: str) -> datasets.Dataset:
        asked.append((repository, name, split))
        rows = [ROW | (ANSWERS if repository == "rajpurkar/squad" else {"label": i % 2}) for i in range(4)]
        return datasets.Dataset.from_list(rows)

    monkeypatch.setattr(datasets, "load_dataset", answer)
    return asked


@pytest.mark.parametrize(
    ("name", "repository", "config", "held_out"),
    [
        ("rte", "nyu-mll/glue", "rte", "validation"),
        ("mnli", "nyu-mll/glue", "mnli", "validation_matched"),
        ("mnli_matched", "nyu-mll/glue", "mnli", "validation_matched"),
        ("mnli_mismatched", "nyu-mll/glue", "mnli", "validation_mismatched"),
        ("superglue-cb", "aps/super_glue", "cb", "validation"),
        ("squad", "rajpurkar/squad", None, "validation"),
    ],
)
def test_the_parquet_repositories_are_asked(asked, name, repository, config, held_out):
    task = load_task(NamedTask(name=name), 0)
    assert asked == [(repository, config, "train"), (repository, config, held_out)]
    assert all(task.splits[split] for split in ("train", "validation", "test"))


def test_a_column_that_the_hub_lacks_is_named_with_its_place(asked):
    with pytest.raises(DataError, match="aps/super_glue, train of copa has no column 'choice1'"):
        load_task(NamedTask(name="superglue-copa"), 0)


@pytest.mark.parametrize(
    "error", [RuntimeError("scripts are no longer supported"), ValueError(), ConnectionError("a\nb")]
)
def test_whatever_the_library_raises_is_one_line(monkeypatch, error):
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(DataError, match=r"'cola' needs nyu-mll/glue.* data_root = \"DIR\"") as caught:
        load_task(NamedTask(name="cola"), 0)
    assert "\n" not in str(caught.value)


def test_without_a_network_the_cache_that_was_looked_in_is_named(tmp_path):
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", MISSING], env=environment, capture_output=True, text=True, check=True, cwd=root
    )
    (line,) = done.stdout.splitlines()
    assert line.startswith("task 'superglue-cb' needs aps/super_glue, which is not in the cache ")
    assert str(tmp_path / "hf" / "datasets") in line
    assert 'data_root = "DIR" with superglue-cb/train.jsonl' in line
