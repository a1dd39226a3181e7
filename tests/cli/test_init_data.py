"""`s3tui init --data FILE`: from somebody's file to a suite that runs."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from processes import DEADLINE

from core.run.task_spec import FileTask
from core.tasks import load_task
from core.tasks.columns import describe
from s3tui.suite.load import load

CASES = Path(__file__).resolve().parents[1] / "data" / "own"


@pytest.fixture(autouse=True)
def beside(tmp_path):
    shutil.copytree(CASES, tmp_path, dirs_exist_ok=True)


def task_of(file: Path) -> FileTask:
    task = load(file).runs[0].spec.task
    assert isinstance(task, FileTask)
    return task


def test_a_suite_is_written_that_reads_the_file(s3tui, tmp_path):
    code, out, err = s3tui("init", "mine.toml", "--data", "semicolon.csv")
    assert (code, err) == (0, "wrote mine.toml; next: s3tui validate mine.toml, then s3tui run mine.toml\n")
    assert "semicolon.csv: text in text; label in label" in out
    assert "48 rows: train 40, validation 4, test 4" in out
    assert "cells are separated by ';'" in out
    text = (tmp_path / "mine.toml").read_text()
    assert 'task = { path = "semicolon.csv", text = ["text"], label = "label", delimiter = ";" }' in text
    assert "icd10" not in text
    assert load(tmp_path / "mine.toml").name == "semicolon"
    assert sum(map(len, load_task(task_of(tmp_path / "mine.toml"), 0).splits.values())) == 48


def test_rows_that_cannot_be_used_are_left_out_and_that_is_shown(s3tui, tmp_path):
    code, out, _ = s3tui("init", "--data", "many-empty.csv")
    assert code == 0
    assert "5 of 48 rows have an empty 'text': lines 2, 12, 22, 32, 42; they are left out" in out
    assert task_of(tmp_path / "experiments.toml").on_bad_rows == "drop"


def test_columns_can_be_named(s3tui, tmp_path):
    rows = [{"a": f"some words {i}", "b": f"more words {i}", "c": i % 2, "d": i % 3} for i in range(30)]
    (tmp_path / "own.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert s3tui("init", "--data", "own.jsonl", "--text", "b", "--text", "a", "--label", "d")[0] == 0
    task = task_of(tmp_path / "experiments.toml")
    assert (task.text, task.label) == (("b", "a"), "d")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--data", "none.csv"), "there is no file or folder"),
        (("--data", "semicolon.csv", "--label", "lable"), "has no column 'lable': did you mean 'label'?"),
        (("--data", "numbers.csv"), "no column looks like its text: name it with --text: x, y"),
        (("--data", "experiments.doc"), "is of no kind that can be read"),
        (("--text", "a"), "--text and --label name columns of a data file"),
        (("numbers.csv", "--data", "semicolon.csv"), "numbers.csv exists already"),
    ],
)
def test_what_cannot_be_is_told_in_a_line_and_nothing_is_written(s3tui, tmp_path, arguments, says):
    (tmp_path / "numbers.csv").write_text("x,y\n" + "".join(f"{i},{i % 2}\n" for i in range(30)))
    (tmp_path / "experiments.doc").write_text("x")
    code, out, err = s3tui("init", *arguments)
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "experiments.toml").exists()


def test_on_a_terminal_the_columns_are_asked_for(tmp_path):
    (tmp_path / "own.csv").write_text(
        "text,label,mood\n" + "".join(f"words {i},x{i % 2},y{i % 3}\n" for i in range(30))
    )
    person, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "s3tui", "init", "--data", "own.csv"],
        cwd=tmp_path, stdin=terminal, stdout=subprocess.PIPE, stderr=terminal, text=True,
    )  # fmt: skip
    os.write(person, b"mood\n\n")  # Enter alone takes what is proposed
    out, _ = process.communicate(timeout=DEADLINE)
    os.close(terminal)
    said = os.read(person, 4096).decode()
    os.close(person)
    assert "which column holds the label? [label]" in said
    assert "which columns hold the text? [text]" in said
    assert "text in text; label in mood" in out
    assert task_of(tmp_path / "experiments.toml").label == "mood"


@pytest.mark.parametrize(
    ("columns", "text", "label"),
    [
        ({"id": range(30), "title": "abc", "body": "de", "stars": "12"}, ["title", "body"], "stars"),
        ({"words": ["a b c", "d e f g"], "group": "xy"}, ["words"], "group"),
        ({"sentence1": "ab", "sentence2": "cd", "gold": "01"}, ["sentence1", "sentence2"], "gold"),
    ],
)
def test_columns_are_told_by_their_names_and_values(tmp_path, columns, text, label):
    rows = [{name: values[i % len(values)] for name, values in columns.items()} for i in range(30)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = describe(tmp_path / "a.jsonl")
    assert (found["text"], found["label"], found["problem"]) == (text, label, "")
