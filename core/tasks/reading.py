"""Reading of labelled rows from a jsonl, csv, tsv or parquet file, with one clear error for a bad file."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.run.errors import DataError
from core.tasks.content import Content
from core.tasks.delimited import SEPARATORS, read_delimited
from core.tasks.jsonlines import read_jsonl
from core.tasks.parquet import read_parquet

READERS: dict[str, Callable[[Path, Sequence[str]], Content]] = {
    ".jsonl": read_jsonl,
    **dict.fromkeys(SEPARATORS, read_delimited),
    ".parquet": read_parquet,
}
EXTENSIONS = tuple(READERS)

# Types of values in jsonl and parquet files that are neither text nor label.
NO_VALUES: dict[type, str] = {list: "a list", dict: "a table", bytes: "bytes, not text"}

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
INTEGER = re.compile(r"[+-]?\d+")


@dataclass(frozen=True)
class Row:
    """One row as read: its texts by column, its label as in the file, and its place in the file."""

    path: Path
    place: str
    fields: tuple[tuple[str, str], ...]
    label: Any

    @property
    def where(self) -> str:
        """The file and the place, for messages."""
        return f"{self.path}: {self.place}"


def read_rows(path: Path, text: Sequence[str], label: str) -> list[Row]:
    """Read the rows of a file, each with a text and a label; raises DataError that names the file and the line."""
    content = read_content(path, (*text, label))
    labels = content.columns[label]
    if path.suffix in SEPARATORS:
        labels = _typed(labels)
    texts = zip(*(content.columns[name] for name in text), strict=True)
    fields = [tuple(zip(text, values, strict=True)) for values in texts]
    return [_row(path, content.place(i), fields[i], label, labels[i]) for i in range(len(labels))]


def read_content(path: Path, columns: Sequence[str]) -> Content:
    """Read the columns of these names; raises DataError if the file cannot be read or lacks one."""
    try:
        return READERS[path.suffix](path, list(dict.fromkeys(columns)))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", "check the file and who may read it") from None


def split_file(folder: Path, split: str) -> Path | None:
    """The file of a split in a folder, in any format; raises DataError if there are two."""
    found = [folder / f"{split}{extension}" for extension in EXTENSIONS]
    # Any entry of that name, also one that is not a regular file: reading it reports what is wrong.
    found = [file for file in found if os.path.lexists(file)]
    if len(found) > 1:
        raise DataError(f"{folder} has {found[0].name} and {found[1].name}", "keep one file for each split")
    return found[0] if found else None


def _row(path: Path, place: str, texts: Sequence[tuple[str, Any]], label: str, value: Any) -> Row:
    """A checked row. Some of several texts may be empty, but not all, and none may be missing."""
    row = Row(path, place, tuple((name, str(text)) for name, text in texts), value)
    for name, text in (*texts, (label, value)):
        if text is None or text != text:
            raise DataError(f"{row.where} has no {name!r}", "fill it in or leave the row out")
        if type(text) in NO_VALUES:
            raise DataError(f"{row.where}: {name!r} holds {NO_VALUES[type(text)]}", "it should be one text or number")
    if value == "" or not any(text.strip() for _, text in row.fields):
        empty = label if value == "" else ", ".join(name for name, _ in texts)
        raise DataError(f"{row.where} is empty in {empty!r}", "fill it in or leave the row out")
    return row


def _typed(labels: Sequence[str]) -> Sequence[Any]:
    """Give the labels of a CSV types: if all are numbers and one has a decimal point, they become floats."""
    numeric = all(map(NUMBER.fullmatch, labels))
    return [float(x) for x in labels] if numeric and not all(map(INTEGER.fullmatch, labels)) else labels
