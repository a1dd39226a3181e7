"""Reading of labelled rows from a data file of any supported format, with one clear error for a bad file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.run.errors import DataError
from core.tasks.content import Content, Layout
from core.tasks.delimited import SEPARATORS, TAB, read_delimited
from core.tasks.encodings import UTF8
from core.tasks.faults import Faults
from core.tasks.jsonlines import read_json, read_jsonl
from core.tasks.opening import COMPRESSED, ending
from core.tasks.parquet import read_arrow, read_parquet
from core.tasks.spreadsheet import read_xlsx

READERS: dict[str, Callable[[Path, Sequence[str], Layout], Content]] = {
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".json": read_json,
    **dict.fromkeys(SEPARATORS, read_delimited),
    ".parquet": read_parquet,
    ".arrow": read_arrow,
    ".feather": read_arrow,
    ".xlsx": read_xlsx,
}
EXTENSIONS = tuple(READERS)

# File names of a split; messages use the first.
SPLIT_NAMES = {"validation": ("validation", "valid", "val", "dev", "eval")}

# Types of values in jsonl and parquet files that are neither text nor label.
NO_VALUES: dict[type, str] = {list: "a list", dict: "a table", bytes: "bytes, not text"}

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
INTEGER = re.compile(r"[+-]?\d+")

CORRECT = "correct them or leave these rows out"


@dataclass(frozen=True)
class Row:
    """One row as read: its texts by column, its label as in the file, and its place in the file."""

    number: int
    fields: tuple[tuple[str, str], ...]
    label: Any


@dataclass(frozen=True)
class Table:
    """The rows of a file that have a text and a label, and the faults of the others.

    `length` is the number of all rows, `found` the layout of the file.
    """

    path: Path
    rows: list[Row]
    faults: Faults
    length: int
    found: Layout

    def where(self, number: int) -> str:
        """The place of a row, for messages."""
        return f"{self.faults.unit} {number}"

    def check(self) -> None:
        """Raise DataError with all faults, counted."""
        if self.faults:
            hint = f'{CORRECT}, or set on_bad_rows = "drop"'
            raise self.faults.error(self.length, hint)

    def notes(self) -> list[str]:
        """Sentences on the layout of the file, as far as it is not the usual one of its extension."""
        keys = layout_keys(self.path, self.found)
        notes = [f"read as {keys['encoding']}"] if "encoding" in keys else []
        if "delimiter" in keys:
            mark = "tabs" if keys["delimiter"] == TAB else repr(keys["delimiter"])
            notes.append(f"cells are separated by {mark}")
        return notes


def layout_keys(path: Path, found: Layout) -> dict[str, str]:
    """The settings of a task that describe the layout of a file, without those that have the usual value."""
    keys = {"encoding": found.encoding, "delimiter": found.delimiter}
    usual = (None, UTF8, SEPARATORS.get(ending(path)))
    return {key: value for key, value in keys.items() if value is not None and value not in usual}


def read_table(path: Path, text: Sequence[str], label: str, layout: Layout) -> Table:
    """Read the rows with a text and a label; raises DataError if the file cannot be read or lacks a column."""
    content = content_of(path, (*text, label), layout)
    labels = content.columns[label]
    if ending(path) in SEPARATORS:
        labels = _typed(labels)
    length = len(content) + len(content.faults)
    texts = [content.columns[name] for name in text]
    rows = []
    for i, number in enumerate(content.numbers):
        values = [(name, column[i]) for name, column in zip(text, texts, strict=True)]
        faults = list(_faults(values, (label, labels[i])))
        for one, many in faults:
            content.faults.add(number, f"{content.place(i)} {one}", many)
        if not faults:
            rows.append(Row(number, tuple((name, str(value)) for name, value in values), labels[i]))
    return Table(path, rows, content.faults, length, content.found)


def read_content(path: Path, columns: Sequence[str], layout: Layout | None = None) -> Content:
    """Read the columns of these names; raises DataError also if a single row cannot be read."""
    content = content_of(path, columns, layout or Layout())
    if content.faults:
        raise content.faults.error(len(content) + len(content.faults), CORRECT)
    return content


def content_of(path: Path, columns: Sequence[str], layout: Layout) -> Content:
    """Read the columns of these names; raises DataError if the file cannot be read or lacks one."""
    if ending(path) not in READERS:
        raise DataError(f"{path} is of no kind that can be read", f"known: {', '.join(EXTENSIONS)}, and these with .gz")
    try:
        return READERS[ending(path)](path, list(dict.fromkeys(columns)), layout)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"{path} cannot be read: {reason}", "check the file and who may read it") from None


def split_file(folder: Path, split: str) -> Path | None:
    """The file of a split in a folder, in any format; raises DataError if there are two."""
    names = SPLIT_NAMES.get(split, (split,))
    try:
        there = sorted(path.name for path in folder.iterdir())
    except OSError:
        return None
    # Any entry of that name, also one that is not a regular file: reading it reports what is wrong.
    found = [name for stem in names for known in EXTENSIONS for name in there if _is_called(name, stem, known)]
    if len(found) > 1:
        raise DataError(f"{folder} has {found[0]} and {found[1]}", "keep one file for each split")
    return folder / found[0] if found else None


def _is_called(name: str, stem: str, known: str) -> bool:
    """Whether a file has this stem and extension, compressed or not; the case of the extension is ignored."""
    return name.startswith(f"{stem}.") and name[len(stem) :].lower() in (known, known + COMPRESSED)


def _faults(texts: Sequence[tuple[str, Any]], label: tuple[str, Any]) -> Iterator[tuple[str, str]]:
    """The faults of a row, worded for one row and for several. Some of several texts may be empty, none missing."""
    absent = False
    for name, value in (*texts, label):
        what = _fault(name, value)
        if what:
            absent = True
            yield f"has {what}", f"have {what}"
    if not absent and not any(str(value).strip() for _, value in texts):
        empty = ", ".join(name for name, _ in texts)
        yield f"has an empty {empty!r}", f"have an empty {empty!r}"
    if not absent and not str(label[1]).strip():
        yield f"has an empty {label[0]!r}", f"have an empty {label[0]!r}"


def _fault(name: str, value: Any) -> str:
    """What is wrong with a value as a text or label; empty if nothing."""
    if value is None or value != value:
        return f"no {name!r}"
    what = NO_VALUES.get(type(value))
    return f"{what} in {name!r}, where one text or number should be" if what else ""


def _typed(labels: Sequence[str]) -> Sequence[Any]:
    """Give the labels of a CSV types: if all are numbers and one has a decimal point, they become floats.

    Empty cells stay as they are.
    """
    given = [label for label in labels if label.strip()]
    numeric = bool(given) and all(map(NUMBER.fullmatch, given))
    if not numeric or all(map(INTEGER.fullmatch, given)):
        return labels
    return [float(x) if x.strip() else x for x in labels]
