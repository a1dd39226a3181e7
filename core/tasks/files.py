"""Tasks from the user's files: one file that is split, or a folder with a file for each split."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from core.run.datapath import check_data_path
from core.run.errors import DataError, nearest, quoted
from core.run.spec import FileTask
from core.run.tasks import Kind
from core.tasks.metrics import BY_KIND
from core.tasks.order import permutation, three_way
from core.tasks.reading import EXTENSIONS, NUMBER, Row, read_rows, split_file
from core.tasks.task import Example, Split, Task

Parts = dict[Split, list[Row]]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def load(spec: FileTask, data_seed: int) -> Task:
    """A task from a file, split 80/10/10 by `data_seed`, or from a folder with `train`, `validation` and `test` files.

    For classification a single file is split stratified by label. If a folder has no `test`, half of the validation
    rows, sampled by `data_seed`, become the test rows, as in the paper for small data sets. Duplicates are not
    detected: two equal rows of a file may fall into different splits.
    """
    path = Path(spec.path)
    check_data_path(path, folder=True)
    parts = _from_folder(path, spec, data_seed) if path.is_dir() else _from_file(path, spec, data_seed)
    kind = _kind(spec, parts["train"])
    labels = _label_set(spec, parts["train"]) if kind == "classification" else ()
    splits = {split: _examples(rows, kind, labels, spec) for split, rows in parts.items()}
    name = path.resolve().name if path.is_dir() else path.stem
    return Task(name, kind, labels, splits, spec.max_length, BY_KIND[kind])


def data_files(spec: FileTask) -> list[Path]:
    """The files that `load` reads."""
    path = Path(spec.path)
    return list(_split_files(path).values()) if path.is_dir() else [path]


def _from_file(path: Path, spec: FileTask, data_seed: int) -> Parts:
    """The three splits of a single file."""
    if path.suffix not in EXTENSIONS:
        raise DataError(f"{path} is of no kind that can be read", f"known: {', '.join(EXTENSIONS)}")
    rows = read_rows(path, spec.text, spec.label)
    stratified = _kind(spec, rows) == "classification"
    members = three_way([_class_name(row) if stratified else "" for row in rows], data_seed)
    if not members["test"]:
        raise DataError(
            f"{path} has too few rows to split 80/10/10 ({len(rows)})",
            "it takes 10 rows, and a label with 3 of them; or give a folder with train, validation and test files",
        )
    return {split: [rows[i] for i in indices] for split, indices in members.items()}


def _from_folder(folder: Path, spec: FileTask, data_seed: int) -> Parts:
    """The splits of a folder; without a test file, half of the validation rows become the test rows."""
    files = _split_files(folder)
    parts: Parts = {split: read_rows(file, spec.text, spec.label) for split, file in files.items()}
    if "test" not in parts:
        rows = parts["validation"]
        if len(rows) < 2:
            raise DataError(f"{files['validation']} has too few rows to halve", "add rows, or a test file beside it")
        order = permutation(len(rows), "test", data_seed)
        middle = (len(rows) + 1) // 2
        parts["validation"] = [rows[i] for i in sorted(order[:middle])]
        parts["test"] = [rows[i] for i in sorted(order[middle:])]
    return parts


def _split_files(folder: Path) -> dict[Split, Path]:
    """The file of each split; raises DataError unless there is exactly one (or, for test, at most one)."""
    files: dict[Split, Path] = {}
    for split in SPLITS:
        if file := split_file(folder, split):
            files[split] = file
        elif split != "test":
            names = ", ".join(f"{split}{extension}" for extension in EXTENSIONS)
            raise DataError(f"{folder} has no {split} file", f"one of {names}")
    return files


def _kind(spec: FileTask, rows: Sequence[Row]) -> Kind:
    """The kind of task: regression if labels are numbers with a decimal point, else classification."""
    if spec.kind != "auto":
        return spec.kind
    numbers = spec.labels is None and all(isinstance(row.label, float) for row in rows)
    return "regression" if numbers else "classification"


def _label_set(spec: FileTask, train: Sequence[Row]) -> tuple[str, ...]:
    """The classes as given, or those of the training rows in numerical or alphabetical order."""
    labels = spec.labels or tuple(sorted({_class_name(row) for row in train}))
    if len(set(labels)) < 2:
        raise DataError(
            f"{train[0].path}: all labels in {spec.label!r} are {quoted(labels[0])}", "two classes are the least"
        )
    if spec.labels is None and all(map(NUMBER.fullmatch, labels)):
        labels = tuple(sorted(labels, key=float))
    return labels


def _class_name(row: Row) -> str:
    """The label as a string: booleans as in JSON, everything else as in the file."""
    return str(row.label).lower() if isinstance(row.label, bool) else str(row.label)


def _examples(rows: Sequence[Row], kind: Kind, labels: Sequence[str], spec: FileTask) -> tuple[Example, ...]:
    """The rows as examples, with a class index or a number as label."""
    if kind == "regression":
        return tuple(Example(row.fields, _number(row, spec)) for row in rows)
    index = {name: i for i, name in enumerate(labels)}
    for row in rows:
        if _class_name(row) not in index:
            known = "in `labels`" if spec.labels else "among the training labels"
            raise DataError(
                f"{row.where}: {spec.label!r} is {quoted(_class_name(row))}, not {known}",
                nearest(_class_name(row), labels),
            )
    return tuple(Example(row.fields, index[_class_name(row)]) for row in rows)


def _number(row: Row, spec: FileTask) -> float:
    try:
        value = float(row.label)
    except (OverflowError, TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise DataError(
            f"{row.where}: {spec.label!r} is {quoted(row.label)}, not a number",
            'correct it or set kind = "classification"',
        )
    return value
