"""Writes a suite for a data file: detects its columns or asks for them, and fills in the example suite."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from core.run.errors import DataError, UsageError, nearest
from core.run.reader import Reader
from core.run.task_spec import FileTask
from s3tui.suite.beforehand import Look, looked

MODEL = "builtin:minilm"  # of the example suite
EXAMPLE = re.compile(r"^# \[experiment\.reviews\].*?\n# task = .*?\n\n", re.MULTILINE | re.DOTALL)

# Asks a question with a default answer.
Ask = Callable[[str, str], str]


@dataclass(frozen=True)
class OwnData:
    """The task of a file as its keys in TOML, and the summary of its data."""

    keys: dict[str, Any]
    look: Look


def described(path: Path, text: Sequence[str], label: str | None, ask: Ask | None) -> OwnData:
    """The task of a file; columns not named by `text` and `label` are asked for, or guessed without a terminal.

    Raises DataError if the file cannot be read, UsageError if a column is missing or cannot be guessed.
    """
    [found] = looked([{"columns": str(path.resolve())}])
    if found["problem"]:
        raise DataError(found["problem"])
    known = found["columns"]
    label = label or _asked(ask, "which column holds the label?", found["label"] or "")
    text = list(text) or _split(_asked(ask, "which columns hold the text?", ", ".join(_others(found["text"], label))))
    if not text or not label:
        wanted = "--text" if not text else "--label"
        raise UsageError(f"{path}: no column looks like its {wanted[2:]}", f"name it with {wanted}: {', '.join(known)}")
    for name in (*text, label):
        if name not in known:
            raise UsageError(f"{path} has no column {name!r}", nearest(name, known))
    return _usable({"path": str(path.resolve()), "text": text, "label": label} | found["layout"])


def _asked(ask: Ask | None, question: str, guess: str) -> str:
    return ask(question, guess) if ask else guess


def _others(names: Sequence[str], label: str) -> list[str]:
    return [name for name in names if name != label]


def _split(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _usable(keys: dict[str, Any]) -> OwnData:
    """The task, with bad rows left out if there are any, so that the written suite runs."""
    look = _look(keys)
    if look["problems"]:
        without = keys | {"on_bad_rows": "drop"}
        again = _look(without)
        if not again["problems"]:
            return OwnData(without, again)
        raise DataError(again["problems"][0])
    return OwnData(keys, look)


def _look(keys: dict[str, Any]) -> Look:
    task = FileTask.model_validate(keys).model_dump(mode="json")
    [look] = looked([{"task": task, "data_seed": 0, "readers": [Reader(MODEL).to_json()]}])
    return look


def task_text(keys: dict[str, Any], file: Path) -> str:
    """The task in TOML for this suite; the path is relative if the data lie in or below the suite's folder."""
    path, here = Path(keys["path"]), file.resolve().parent
    shown = os.path.relpath(path, here) if path.is_relative_to(here) else str(path)
    task = ", ".join(f"{key} = {json.dumps(value)}" for key, value in (keys | {"path": shown}).items())
    return f"{{ {task} }}"


def name_of(data: Path) -> str:
    """A name for the suite of a data file, from that of the file."""
    return re.sub(r"[^A-Za-z0-9_+-]+", "-", data.name.split(".")[0]).strip("-") or "own"


def suite_text(keys: dict[str, Any], file: Path) -> str:
    """The example suite with this task."""
    text = files("s3tui").joinpath("starter.toml").read_text(encoding="utf-8")
    text = EXAMPLE.sub("", text)
    text = text.replace('task = "icd10-chapter"', f"task = {task_text(keys, file)}")
    return text.replace('name = "first"', f'name = "{name_of(Path(keys["path"]))}"')
