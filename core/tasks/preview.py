"""Summarises and checks the data of a task before training, without torch and without the hub."""

from __future__ import annotations

import itertools
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from core.run.errors import DataError, S3Error
from core.run.reader import Reader
from core.run.task_spec import FileTask, NamedTask
from core.run.tasks import ENTRIES
from core.tasks import files, labels, load_task
from core.tasks.hub_cache import is_here
from core.tasks.inputs import long_rows_hint
from core.tasks.lengths import check_model_length, check_weights, lengths
from core.tasks.opening import BLOCK_BYTES, ending, opened, title
from core.tasks.task import Task

EXAMPLES = 2
LONGEST_SHOWN = 300  # characters of an example's text
LARGE_BYTES = 256 * 2**20  # of a file, above which only its beginning is read
BEGINNING_BYTES = 64 * 2**20
WAYS_OUT = ('; on_bad_rows = "drop" leaves it out', '; on_bad_rows = "drop" leaves them out')
LEFT_OUT = ("; it is left out", "; they are left out")
BY_LINES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson")


def preview(spec: NamedTask | FileTask, data_seed: int, readers: Sequence[Reader]) -> dict[str, Any]:
    """A summary of a task: rows, labels, examples, lengths in the tokens of each reader, problems and warnings.

    `problems` are the errors with which a run would fail; nothing is raised.
    """
    look = _Look()
    try:
        task = _of_files(spec, data_seed, look) if isinstance(spec, FileTask) else _of_name(spec, data_seed, look)
    except S3Error as error:
        look.problems.append(str(error))
        task = None
    if task:
        look.show(task)
    length = spec.max_length or (task.max_length if task else None)
    for reader in readers:
        try:
            check_weights(isinstance(spec, FileTask) and spec.class_weights != "none", reader)
            if length:
                check_model_length(length, reader)
            if task:
                found = lengths(task, reader)
                look.facts["lengths"][reader.label] = {"model": reader.model} | found
                look.note_lost(found, reader)
        except S3Error as error:
            look.problems.append(str(error))
    return look.facts | {"problems": look.problems, "warnings": look.warnings, "notes": look.notes}


class _Look:
    """The summary of a task, as far as it is computed."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.warnings: list[str] = []
        self.notes: list[str] = []
        self.names = {"train": "train", "validation": "validation", "test": "test"}
        self.facts: dict[str, Any] = {"kind": None, "files": [], "splits": {}, "examples": [], "lengths": {}}

    def show(self, task: Task) -> None:
        """Add the rows of each label and split, the first examples, and repeated texts."""
        self.facts["kind"] = task.kind
        self.facts["metrics"] = list(task.metrics)
        self.facts["left_out"] = dict(task.left_out)
        for split, rows in task.splits.items():
            counts = Counter(int(row.label) for row in rows) if task.labels else Counter[int]()
            by_label = {label: counts[i] for i, label in enumerate(task.labels)}
            self.facts["splits"][split] = {"rows": len(rows), "labels": by_label}
        for row in task.splits["train"][:EXAMPLES]:
            answer = task.labels[int(row.label)] if task.labels else row.answers[0] if row.answers else row.label
            texts = {name: text[:LONGEST_SHOWN] for name, text in row.fields}
            self.facts["examples"].append({"text": texts, "label": answer})
        self.warnings += _duplicates(task, self.names)

    def note_lost(self, lengths: dict[str, Any], reader: Reader) -> None:
        """Add the rows that a reader cannot answer."""
        of = f"of {lengths.get('texts', 0):,}{' sampled' if lengths.get('sampled') else ''} rows"
        lost = lengths.get("lost", {})
        lines = [f"{count:,} {of} {what}" for what, count in lost.items()]
        if reader.on_long_rows == "error":
            self.problems += [f"{line} ({reader.label}): {long_rows_hint(lost)}" for line in lines]
        else:
            self.warnings += [f"{line} ({reader.label}); they are left out" for line in lines]


def _of_name(spec: NamedTask, data_seed: int, look: _Look) -> Task | None:
    """The task of a name; None, with a note, if its rows come from the hub and are not on this machine yet."""
    entry = next((entry for entry in ENTRIES if entry.name == spec.name), None)
    if entry is None or spec.data_root is not None:
        return load_task(spec, data_seed)
    try:
        if is_here(entry):
            return load_task(spec, data_seed)
        why = "not on this machine yet"
    except DataError:  # a part of it is not there
        why = "not all on this machine yet"
    look.notes.append(f"its rows come from the hub ({entry.hub[0]}) and are {why}, so they are not checked")
    return None


def _of_files(spec: FileTask, data_seed: int, look: _Look) -> Task | None:
    """The task of files; its problems are collected, and everything else is summarised all the same."""
    with tempfile.TemporaryDirectory(prefix="s3tui-") as folder:
        spec = beginnings(spec, Path(folder), look.notes)
        found = files.read(spec)
        task = None
        try:
            task = files.assembled(found, spec, data_seed)
        except DataError as error:
            look.problems.append(str(error))
        finally:
            _note_files(spec, found, look)
            counts = Counter(files.class_name(row, spec) for row in found.rows())
            raw = Counter(files.class_name(row, spec.model_copy(update={"fold_labels": False})) for row in found.rows())
            _note_labels(spec, found, raw if not spec.fold_labels else counts, task, look)
        return task


def _note_files(spec: FileTask, found: files.Files, look: _Look) -> None:
    for table in found.all:
        look.facts["files"].append(
            {"path": str(table.path), "rows": table.length, "left_out": len(table.faults),
             "encoding": table.found.encoding, "delimiter": table.found.delimiter}
        )  # fmt: skip
        look.notes += [f"{table.path}: {note}" for note in table.notes()]
        is_wrong = spec.on_bad_rows == "error"
        ends = WAYS_OUT if is_wrong else LEFT_OUT
        says = [f"{table.path}: {line}" for line in table.faults.lines(table.length, *ends)]
        (look.problems if is_wrong else look.warnings).extend(says)
    if found.whole is None:
        look.names = {split: title(found.of(split).path) for split in files.SPLITS}
        if "test" not in found.tables:
            look.names |= {"test": f"the test half of {look.names['validation']}"}


def _note_labels(spec: FileTask, found: files.Files, counts: Counter[str], task: Task | None, look: _Look) -> None:
    rows = found.training_rows()
    if files.kind_of(spec, rows) == "regression":
        look.facts["kind"] = "regression"
        values = [row.label for row in rows if isinstance(row.label, float)]
        if spec.kind == "auto":
            some = ", ".join(map(str, list(dict.fromkeys(values))[:2]))
            look.notes.append(f"regression: numbers are predicted, as the labels have decimals ({some})")
        look.warnings += labels.of_numbers(values, spec.kind != "auto")
    elif counts:
        look.facts["kind"] = "classification"
        look.facts["labels"] = dict(sorted(counts.items()))
        look.warnings += labels.warnings(counts, spec.label, task)


def _duplicates(task: Task, names: dict[str, str]) -> Iterator[str]:
    """Warn of texts that are repeated in a split, are in two splits, or have different labels."""
    seen = {split: Counter(row.fields for row in rows) for split, rows in task.splits.items()}
    for split, counts in seen.items():
        if more := counts.total() - len(counts):
            yield f"{_texts(more)} of {names[split]} repeat others of it"
    for one, other in itertools.combinations(reversed(list(seen)), 2):
        if both := len(seen[one].keys() & seen[other].keys()):
            yield f"{_texts(both)} of {names[one]} {'is' if both == 1 else 'are'} in {names[other]}, too"
    answers: dict[Any, set[Any]] = {}
    for rows in task.splits.values():
        for row in rows:
            answers.setdefault(row.fields, set()).add(row.label)
    if several := sum(len(found) > 1 for found in answers.values()):
        yield f"{_texts(several)} {'has' if several == 1 else 'have'} different labels in different rows"


def _texts(count: int) -> str:
    return "1 text" if count == 1 else f"{count:,} texts"


def beginnings(spec: FileTask, folder: Path, notes: list[str]) -> FileTask:
    """The same task with large files cut to their first lines, in `folder`, so that a preview takes seconds."""
    large = [path for path in files.data_files(spec) if path.is_file() and path.stat().st_size > LARGE_BYTES]
    if not large:
        return spec
    for path in files.data_files(spec):
        target = folder / path.name
        if path not in large:
            target.symlink_to(path.resolve())
        elif ending(path) in BY_LINES:
            target = target.with_name(f"{title(path)}{ending(path)}")
            target.write_bytes(_first_lines(path))
            notes.append(f"{path}: only the first {BEGINNING_BYTES // 2**20} MiB are read, as it is large")
        else:
            raise DataError(f"{path} is too large for a preview", "a run reads all of it")
    whole = Path(spec.path)
    return spec.model_copy(update={"path": str(folder if whole.is_dir() else target)})


def _first_lines(path: Path) -> bytes:
    """The beginning of a file, up to the end of a line."""
    data = b""
    with opened(path) as file:
        while len(data) < BEGINNING_BYTES and (block := file.read(BLOCK_BYTES)):
            data += block
    return data[: data.rfind(b"\n") + 1]
