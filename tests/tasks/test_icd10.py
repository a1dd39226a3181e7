"""The promises of the task that needs no download."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest

from core.run.errors import DataError, SpecError
from core.run.plugins import resolve
from core.run.task_spec import NamedTask
from core.run.tasks import TASKS
from core.tasks import Task, load_task

LISTING = """
import hashlib
from core.run.task_spec import NamedTask
from core.tasks import load_task
task = load_task(NamedTask(name="icd10-chapter", per_class=20), 0)
print(hashlib.sha256(repr(task).encode()).hexdigest())
"""


def load(per_class: int = 50, data_seed: int = 0) -> Task:
    pytest.importorskip("simple_icd_10_cm", reason="the package simple-icd-10-cm is not installed")
    return load_task(NamedTask(name="icd10-chapter", per_class=per_class), data_seed)


def texts(task: Task) -> list[str]:
    return [example.fields[0][1] for rows in task.splits.values() for example in rows]


def test_every_task_that_has_a_name_can_be_loaded():
    assert all(callable(resolve(row.load, name)) for name, row in TASKS.own.items())


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(SpecError, match=r"'icd-chapter'.*'icd10-chapter'"):
        load_task(NamedTask(name="icd-chapter"), 0)


def test_there_are_21_chapters_without_their_code_ranges():
    task = load()
    assert len(task.labels) == 21
    assert task.labels[:2] == ("Certain infectious and parasitic diseases", "Neoplasms")
    assert not any("(" in label for label in task.labels)
    assert "Codes for special purposes" not in task.labels


def test_every_chapter_has_the_same_share_of_every_split():
    task = load(per_class=50)
    for split, count in (("train", 40), ("validation", 5), ("test", 5)):
        assert Counter(example.label for example in task.splits[split]) == dict.fromkeys(range(21), count)


def test_no_text_is_in_two_splits():
    keys = [text.casefold() for text in texts(load(per_class=100_000))]
    assert len(keys) == len(set(keys)) > 50_000


def test_a_text_that_stands_in_two_chapters_is_left_out():
    assert "viral pericarditis" not in {text.casefold() for text in texts(load(per_class=100_000))}


def test_texts_are_short_lines_of_a_code_and_not_of_a_chapter():
    task = load(per_class=100_000)
    assert all(text == " ".join(text.split()) != "" for text in texts(task))
    assert not set(texts(task)) & set(task.labels)


def test_another_data_seed_draws_other_rows():
    assert set(texts(load(data_seed=0))) != set(texts(load(data_seed=1)))


def test_more_texts_a_class_keep_those_of_fewer():
    assert set(texts(load(per_class=30))) < set(texts(load(per_class=50)))


def test_every_process_sees_the_same_rows():
    pytest.importorskip("simple_icd_10_cm", reason="the package simple-icd-10-cm is not installed")
    digests = {
        subprocess.run(
            [sys.executable, "-W", "error", "-c", LISTING],
            env=os.environ | {"PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_too_few_texts_to_test_on_are_refused():
    with pytest.raises(SpecError, match=r"per_class = 2 .* 3 is the least"):
        load(per_class=2)


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "simple_icd_10_cm", None)
    with pytest.raises(DataError, match=r"simple-icd-10-cm.*pip install 's3tui\[demo\]'"):
        load_task(NamedTask(name="icd10-chapter"), 0)


def test_importing_the_tasks_loads_nothing_heavy():
    code = (
        "import sys, core.tasks; "
        "print({'torch', 'datasets', 'transformers', 'sklearn', 'scipy', 'pandas'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert result.stdout.strip() == "set()"
