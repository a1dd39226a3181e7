"""Tasks from the user's files: one file that is split, or a folder with a file for each split."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.run.datapath import check_data_path
from core.run.errors import DataError, nearest, quoted
from core.run.task_spec import FileTask
from core.run.tasks import Kind
from core.tasks.content import Layout
from core.tasks.labels import MAJORITY, folded
from core.tasks.metrics import BY_KIND
from core.tasks.opening import title
from core.tasks.order import permutation, three_way
from core.tasks.reading import EXTENSIONS, NUMBER, SPLIT_NAMES, Row, Table, read_table, split_file
from core.tasks.task import Example, Split, Task

Parts = dict[Split, list[Row]]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class Files:
    """The files of a task as read: one for each split, or one with all rows (`whole`)."""

    tables: Mapping[Split, Table]
    whole: Table | None = None

    @property
    def all(self) -> list[Table]:
        """Every file once."""
        return [self.whole] if self.whole else list(self.tables.values())

    def of(self, split: Split) -> Table:
        """The file of a split; without a test file, test rows are in that of validation."""
        return self.whole or self.tables.get(split) or self.tables["validation"]

    def rows(self) -> Iterator[Row]:
        """All rows that were read."""
        return (row for table in self.all for row in table.rows)

    def training_rows(self) -> list[Row]:
        """The rows that define the classes: the training file, or the one file."""
        return (self.whole or self.tables["train"]).rows

    def check(self) -> None:
        """Raise DataError with the faults of the first file that has any."""
        for table in self.all:
            table.check()

    def left_out(self) -> dict[str, int]:
        """The number of unusable rows of each kind of fault."""
        counts: Counter[str] = Counter()
        for table in self.all:
            counts.update(table.faults.counts())
        return dict(counts)


def load(spec: FileTask, data_seed: int) -> Task:
    """A task from a file, split 80/10/10 by `data_seed`, or from a folder with `train`, `validation` and `test` files.

    For classification a single file is split stratified by label. If a folder has no `test`, half of the validation
    rows, sampled by `data_seed`, become the test rows, as in the paper for small data sets. Duplicates are not
    detected: two equal rows of a file may fall into different splits.
    """
    found = read(spec)
    if spec.on_bad_rows == "error":
        found.check()
    task = assembled(found, spec, data_seed)
    if spec.on_bad_rows == "error":
        found.check()
    return task


def read(spec: FileTask) -> Files:
    """Read the files of a task and collect faults; raises DataError if one cannot be read or lacks a column."""
    path, layout = Path(spec.path), Layout(spec.delimiter, spec.encoding, spec.quoting)
    check_data_path(path, folder=True)
    if not path.is_dir():
        return Files({}, read_table(path, spec.text, spec.label, layout))
    files = _split_files(path)
    return Files({split: read_table(file, spec.text, spec.label, layout) for split, file in files.items()})


def assembled(found: Files, spec: FileTask, data_seed: int) -> Task:
    """The task of the usable rows of these files; bad labels are added to the faults."""
    path = Path(spec.path)
    parts = _halved(found, data_seed) if found.whole is None else _divided(found.whole, spec, data_seed)
    for table in found.all:
        if not table.rows:
            raise DataError(f"{table.path} has no row that can be used", "; ".join(table.faults.lines(table.length)))
    kind = kind_of(spec, found.training_rows())
    labels = _label_set(spec, found.of("train").path, parts["train"]) if kind == "classification" else ()
    splits = {split: tuple(_examples(found.of(split), rows, kind, labels, spec)) for split, rows in parts.items()}
    for split, examples in splits.items():
        if not examples:
            raise DataError(f"{found.of(split).path} leaves no row for {split}", "correct or add rows")
    return Task(
        path.resolve().name if path.is_dir() else title(path),
        kind,
        labels,
        splits,
        spec.max_length,
        _metrics(spec, kind, splits["train"]),
        left_out=found.left_out(),
        notes=tuple(f"{table.path.name}: {note}" for table in found.all for note in table.notes()),
        class_weights=_weights(spec, splits["train"], len(labels)),
    )


def data_files(spec: FileTask) -> list[Path]:
    """The files that `load` reads."""
    path = Path(spec.path)
    return list(_split_files(path).values()) if path.is_dir() else [path]


def _divided(table: Table, spec: FileTask, data_seed: int) -> Parts:
    """The three splits of a single file."""
    rows = table.rows
    stratified = kind_of(spec, rows) == "classification"
    members = three_way([class_name(row, spec) if stratified else "" for row in rows], data_seed)
    if not members["test"]:
        classes = len({class_name(row, spec) for row in rows})
        of_classes = f" of {classes} class{'' if classes == 1 else 'es'}" if stratified else ""
        raise DataError(
            f"{table.path} has too few rows to split 80/10/10 ({len(rows)} rows{of_classes})",
            "it takes 10 rows, and a label with 3 of them; or give a folder with train, validation and test files",
        )
    return {split: [rows[i] for i in indices] for split, indices in members.items()}


def _halved(found: Files, data_seed: int) -> Parts:
    """The splits of a folder; without a test file, half of the validation rows become the test rows."""
    parts: Parts = {split: table.rows for split, table in found.tables.items()}
    if "test" not in parts:
        rows, path = parts["validation"], found.tables["validation"].path
        if len(rows) < 2:
            raise DataError(f"{path} has too few rows to halve", "add rows, or a test file beside it")
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
            endings = ", ".join(EXTENSIONS)
            names = " or ".join(SPLIT_NAMES.get(split, (split,)))
            raise DataError(f"{folder} has no {split} file", f"put one called {names} there, which ends with {endings}")
    return files


def kind_of(spec: FileTask, rows: Sequence[Row]) -> Kind:
    """The kind of task: regression if labels are numbers with a decimal point, else classification."""
    if spec.kind != "auto":
        return spec.kind
    numbers = spec.labels is None and bool(rows) and all(isinstance(row.label, float) for row in rows)
    return "regression" if numbers else "classification"


def _label_set(spec: FileTask, path: Path, train: Sequence[Row]) -> tuple[str, ...]:
    """The classes as given, or those of the training rows in numerical or alphabetical order."""
    labels = spec.labels or tuple(sorted({class_name(row, spec) for row in train}))
    if len(set(labels)) < 2:
        raise DataError(f"{path}: all labels in {spec.label!r} are {quoted(labels[0])}", "two classes are the least")
    if spec.labels is None and all(map(NUMBER.fullmatch, labels)):
        labels = tuple(sorted(labels, key=float))
    return labels


def class_name(row: Row, spec: FileTask) -> str:
    """The label as a string: booleans as in JSON, everything else as in the file."""
    name = str(row.label).lower() if isinstance(row.label, bool) else str(row.label)
    return folded(name) if spec.fold_labels else name


def _examples(
    table: Table, rows: Sequence[Row], kind: Kind, labels: Sequence[str], spec: FileTask
) -> Iterator[Example]:
    """The rows as examples, with a class index or a number as label; rows without one are added to the faults."""
    index = {folded(name) if spec.fold_labels else name: i for i, name in enumerate(labels)}
    for row in rows:
        if kind == "regression":
            number = _number(row)
            if number is not None:
                yield Example(row.fields, number)
            else:
                _note(table, row, f"{spec.label!r} is {quoted(row.label)}, not a number", _not_numbers(spec))
            continue
        name = class_name(row, spec)
        if name in index:
            yield Example(row.fields, index[name])
        else:
            known = "in `labels`" if spec.labels else "among the training labels"
            many = f"have a {spec.label!r} that is not {known}"
            _note(table, row, f"{spec.label!r} is {quoted(name)}, not {known} ({nearest(name, labels)})", many)


def _not_numbers(spec: FileTask) -> str:
    return f"have a {spec.label!r} that is not a number"


def _note(table: Table, row: Row, one: str, many: str) -> None:
    table.faults.add(row.number, f"{table.where(row.number)}: {one}", many)


def _number(row: Row) -> float | None:
    """The label as a finite number, or None."""
    try:
        value = float(row.label)
    except (OverflowError, TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _metrics(spec: FileTask, kind: Kind, train: Sequence[Example]) -> tuple[str, ...]:
    """The metrics, the score first; by default accuracy, or macro F1 if one class has nearly all rows."""
    metrics = BY_KIND[kind]
    if kind == "regression":
        return metrics
    largest = max(Counter(example.label for example in train).values()) if train else 0
    auto = "macro_f1" if largest > MAJORITY * len(train) else "accuracy"
    score = auto if spec.score == "auto" else spec.score
    return (score, *(metric for metric in metrics if metric != score))


def _weights(spec: FileTask, train: Sequence[Example], classes: int) -> tuple[float, ...]:
    """The weight of each class in the loss, rows / (classes x rows of the class); empty if classes are not weighted."""
    if spec.class_weights == "none" or not classes:
        return ()
    counts = Counter(int(example.label) for example in train)
    present = len(counts)
    return tuple(len(train) / (present * counts[i]) if counts[i] else 0.0 for i in range(classes))
