"""Rows of a jsonl, csv, tsv or parquet file, or one clear sentence about what is wrong with it."""

from __future__ import annotations

import csv
import json
import logging
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from core.run.errors import DataError, nearest

SEPARATORS = {".csv": ",", ".tsv": "\t"}
EXTENSIONS = (".jsonl", *SEPARATORS, ".parquet")

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
INTEGER = re.compile(r"[+-]?\d+")


@dataclass(frozen=True)
class Row:
    """One row as it was read: its texts by column, its label as the file has it, and where it stands."""

    path: Path
    number: int
    fields: tuple[tuple[str, str], ...]
    label: Any

    @property
    def where(self) -> str:
        """The row's place, for messages; rows count from 1, without a header."""
        return f"{self.path}: row {self.number}"


def read_rows(path: Path, text: Sequence[str], label: str) -> list[Row]:
    """The rows of a file, each with a text and a label; raises DataError that names the file, and the row."""
    columns = read_columns(path)
    for name in (*text, label):
        if name not in columns:
            raise DataError(f"{path} has no column {name!r}", nearest(name, columns))
    labels = columns[label]
    if path.suffix in SEPARATORS:
        labels = _typed(labels)
    texts = [dict(zip(text, values, strict=True)) for values in zip(*(columns[name] for name in text), strict=True)]
    return [_row(path, i + 1, texts[i], label, labels[i]) for i in range(len(labels))]


def split_file(folder: Path, split: str) -> Path | None:
    """The file of a split in a folder, whatever its kind; raises DataError where there are two."""
    found = [folder / f"{split}{extension}" for extension in EXTENSIONS]
    found = [file for file in found if file.is_file()]
    if len(found) > 1:
        raise DataError(f"{folder} has {found[0].name} and {found[1].name}", "keep one file for each split")
    return found[0] if found else None


def _row(path: Path, number: int, texts: dict[str, Any], label: str, value: Any) -> Row:
    """A checked row. One of several texts may be empty, but not all, and none may be absent."""
    row = Row(path, number, tuple((name, str(text)) for name, text in texts.items()), value)
    for name, text in (*texts.items(), (label, value)):
        if text is None or text != text:
            raise DataError(f"{row.where} has no {name!r}", "fill it in or leave the row out")
        if isinstance(text, list | dict):
            raise DataError(f"{row.where}: {name!r} holds a {type(text).__name__}", "it should be one value")
    if value == "" or not any(text.strip() for _, text in row.fields):
        empty = label if value == "" else ", ".join(texts)
        raise DataError(f"{row.where} is empty in {empty!r}", "fill it in or leave the row out")
    return row


def _typed(labels: list[str]) -> list[Any]:
    """A CSV has no types: labels that are numbers, one with a decimal point, become floats as in the other files."""
    numeric = all(map(NUMBER.fullmatch, labels))
    return [float(x) for x in labels] if numeric and not all(map(INTEGER.fullmatch, labels)) else labels


def read_columns(path: Path) -> dict[str, list[Any]]:
    """All columns of a file, read by the datasets library in a cache that lasts no longer than the reading.

    A shared cache could serve a file's old content. `Dataset.from_*` and not `load_dataset`, which counts its
    calls over the network.
    """
    import datasets
    from datasets.exceptions import DatasetsError

    datasets.disable_progress_bars()
    # It logs what it raises, and what it raises is told below.
    datasets.logging.set_verbosity(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        # Under a name of our own, for the library takes brackets and stars in a path as a pattern.
        link = Path(folder) / f"data{path.suffix}"
        link.symlink_to(path.resolve())
        try:
            _refuse_empty(path)
            return dict(_dataset(link, f"{folder}/cache")[:])
        except (DatasetsError, OSError, ValueError, csv.Error) as error:
            raise _unreadable(path, error) from error


def _dataset(path: Path, cache: str) -> Any:
    from datasets import Dataset

    if path.suffix == ".jsonl":
        return Dataset.from_json(str(path), cache_dir=cache, keep_in_memory=True)
    if path.suffix == ".parquet":
        return Dataset.from_parquet(str(path), cache_dir=cache, keep_in_memory=True)
    with path.open(newline="", encoding="utf-8-sig") as file:
        header = next(filter(None, csv.reader(file, delimiter=SEPARATORS[path.suffix])))
    # Every cell as it is written: by itself pandas turns 007 into 7 and the word "None" into nothing.
    as_written: dict[str, Any] = {"converters": dict.fromkeys(header, str), "na_filter": False}
    dataset = Dataset.from_csv(
        str(path), cache_dir=cache, keep_in_memory=True, sep=SEPARATORS[path.suffix], **as_written
    )
    # Where every row has one cell too many, pandas takes the first for an index and shifts the rest.
    if len(dataset.column_names) > len(header):
        raise ValueError(f"the header has {len(header)} cells and the rows have more")
    return dataset


def _refuse_empty(path: Path) -> None:
    """Raise DataError for a file without rows, on which the datasets library fails in a different way for each kind."""
    if path.suffix == ".parquet":
        import pyarrow.parquet  # type: ignore[import-untyped]

        empty = pyarrow.parquet.read_metadata(path).num_rows == 0
    else:
        with path.open("rb") as file:
            filled = sum(1 for _ in islice(filter(bytes.strip, file), 2))
        empty = filled < (2 if path.suffix in SEPARATORS else 1)
    if empty:
        raise DataError(f"{path} has no rows", "every file needs at least one row of data")


def _unreadable(path: Path, error: Exception) -> DataError:
    """What is wrong with a file that cannot be read, with the line where it can be told."""
    broken = "" if isinstance(error, OSError) or path.suffix != ".jsonl" else _broken_line(path)
    if broken:
        return DataError(f"{path}: {broken}", "correct the line or remove it")
    reason = str(error.__cause__ or error).splitlines()[0]
    return DataError(f"{path} cannot be read: {reason}", f"is it a {path.suffix[1:]} file, in UTF-8 where it is text?")


def _broken_line(path: Path) -> str:
    """The first line that is no JSON object, in words; empty where there is none."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                if line.strip() and not isinstance(json.loads(line.strip()), dict):
                    return f"line {number} is not a JSON object"
            except json.JSONDecodeError as error:
                return f"line {number} is not JSON ({error.msg}, column {error.colno})"
            except UnicodeDecodeError:
                return f"line {number} is not UTF-8"
    return ""
