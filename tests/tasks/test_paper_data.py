"""The tasks of the paper on real files: counts, splits, labels, sources. Skipped where these files are not."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from core.run.task_spec import FileTask, NamedTask
from core.tasks import Task, load_task
from core.tasks.batches import source_text, target_text
from core.tasks.metrics import evaluate

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the shared GLUE and SuperGLUE files are not here")

# Rows of train, validation and test, how the first source of the training file begins, and its target.
SETS = {
    "cola": ((8551, 521, 522), "cola sentence: Our friends won't buy this analysis, let alone", "1"),
    "mrpc": ((3668, 204, 204), "mrpc sentence1: Amrozi accused his brother , whom he called", "1"),
    "rte": (
        (2490, 138, 139),
        "rte sentence1: No Weapons of Mass Destruction Found in Iraq Yet. sentence2: Weapons",
        "1",
    ),
    "stsb": ((5749, 750, 750), "stsb sentence1: A plane is taking off. sentence2: An air plane is taking off.", "5.0"),
    "superglue-cb": ((250, 28, 28), "superglue-cb premise: It was a complex language. Not written down", "0"),
    "superglue-copa": (
        (400, 50, 50),
        "superglue-copa premise: My body cast a shadow over the grass. choice1: The sun was rising. "
        "choice2: The grass was cut. question: cause",
        "0",
    ),
    "superglue-multirc": ((400, 201, 199), "superglue-multirc question: ", "0"),
    # These two are cut short; validation comes from the training rows, at most half of them.
    "sst2": ((4000, 2000, 872), "sst2 sentence: ", None),
    "superglue-record": ((23, 16, 32), "superglue-record record query: ", None),
}


def load(name: str, data_seed: int = 0, **keys) -> Task:
    return load_task(NamedTask(name=name, data_root=str(DATA), **keys), data_seed)


def lines(name: str, split: str) -> list[str]:
    return (DATA / name / f"{split}.jsonl").read_text(encoding="utf-8").split("\n")[:-1]


def labels(name: str, split: str) -> list[str]:
    return [str(json.loads(line)["label"]) for line in lines(name, split)]


@pytest.mark.parametrize("name", SETS)
def test_counts_sources_and_targets(name):
    task = load(name)
    counts, source, target = SETS[name]
    assert tuple(len(rows) for rows in task.splits.values()) == counts
    first = task.splits["train"][0]
    assert source_text(task, first).startswith(source)
    assert target is None or target_text(task, first) == target


def rows(task: Task) -> Counter:
    return Counter((e.fields, target_text(task, e)) for split in task.splits.values() for e in split)


# In ReCoRD a training row is made of every answer, so that the draw changes the rows.
@pytest.mark.parametrize("name", [name for name in SETS if name != "superglue-record"])
def test_every_draw_has_each_row_once(name):
    files = [json.loads(line) for split in ("train", "validation") for line in lines(name, split)]
    first, other = load(name), load(name, data_seed=1)
    assert rows(first) == rows(other)
    assert sum(rows(first).values()) == len(files)
    assert first.splits["validation"] != other.splits["validation"]


@pytest.mark.parametrize("name", ["cola", "mrpc", "rte", "superglue-cb", "superglue-copa", "superglue-multirc"])
def test_the_labels_are_those_of_the_files(name):
    task = load(name)
    held_out = task.splits["validation"] + task.splits["test"]
    assert [task.labels[e.label] for e in task.splits["train"]] == labels(name, "train")
    assert Counter(task.labels[e.label] for e in held_out) == Counter(labels(name, "validation"))


def test_questions_of_multirc_are_whole():
    task = load("superglue-multirc")
    groups = {split: {e.group for e in rows} for split, rows in task.splits.items()}
    assert not groups["validation"] & groups["test"]
    torn = load("superglue-multirc", flaws="paper").splits
    assert {e.group for e in torn["validation"]} & {e.group for e in torn["test"]}


def test_multirc_has_no_markup_and_its_paragraph_comes_last():
    for example in load("superglue-multirc").splits["train"]:
        assert [name for name, _ in example.fields] == ["question", "answer", "paragraph"]
        assert not any(mark in text for _, text in example.fields for mark in ("<br>", "<b>", "</b>"))


def test_record_asks_for_an_entity_of_the_passage():
    for example in load("superglue-record").splits["test"]:
        (_, query), (_, entities), (_, passage) = example.fields
        assert "@placeholder" in query
        assert "@highlight" not in passage
        assert set(example.answers) <= set(entities.split(", "))


def test_saying_always_yes_scores_as_counted_by_hand():
    task = load("mrpc")
    ones = sum(example.label for example in task.splits["test"])
    metrics = evaluate(task.metrics, [1] * 204, task.splits["test"])
    assert metrics == {"f1": pytest.approx(2 * ones / (204 + ones)), "accuracy": pytest.approx(ones / 204)}


def test_the_same_files_as_ones_own_task_have_the_same_training_rows():
    own = load_task(FileTask(path=str(DATA / "superglue-cb"), text=["premise", "hypothesis"], label="label"), 0)
    assert own.splits["train"] == load("superglue-cb").splits["train"]
