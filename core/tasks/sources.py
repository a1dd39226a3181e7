"""Reads the rows of a named task: from the hub's parquet files, or from a local folder with the same columns."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.run.errors import DataError
from core.run.tasks import Entry
from core.tasks.content import Content, check_names
from core.tasks.faults import Faults
from core.tasks.formats import columns
from core.tasks.reading import EXTENSIONS, read_content, split_file


@dataclass(frozen=True)
class Row:
    """One row with its place in the file, for messages."""

    where: str
    values: Mapping[str, Any]


def read_rows(entry: Entry, split: str, data_root: str | None) -> list[Row]:
    """Read the rows of a split; raises DataError if a value in a column that the task needs is missing."""
    names = columns(entry)
    content = read_content(file_of(entry, split, Path(data_root)), names) if data_root else _from_hub(entry, split)
    rows = zip(*(content.columns[name] for name in names), strict=True)
    return [
        _row(f"{content.source}: {content.place(i)}", dict(zip(names, row, strict=True))) for i, row in enumerate(rows)
    ]


def _row(where: str, values: dict[str, Any]) -> Row:
    for name, value in values.items():
        if value is None or value != value:
            raise DataError(f"{where} has no {name!r}", "fill it in or leave the row out")
    return Row(where, values)


def file_of(entry: Entry, split: str, root: Path) -> Path:
    """The file of a split in the task's folder, or in that of the task with the same data; else raises DataError."""
    # Only the task's own folder may use "validation" for what the hub calls "validation_matched".
    places = [(entry.name, split), (entry.source, split)]
    if split == entry.held_out:
        places.insert(1, (entry.name, "validation"))
    for folder, name in places:
        if file := split_file(root / folder, name):
            return file
    raise DataError(
        f"data_root {root} has no rows for {split!r} of task {entry.name!r}",
        f"put a file called {places[0][1]} into {root / entry.name}, which ends with {', '.join(EXTENSIONS)}",
    )


def _from_hub(entry: Entry, split: str) -> Content:
    """Read a split with the datasets library, from its cache or the hub."""
    import datasets
    from datasets.exceptions import DatasetsError

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(logging.CRITICAL)
    repository, name = entry.hub
    try:
        rows = datasets.load_dataset(repository, name, split=split)
    except (DatasetsError, OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"task {entry.name!r} needs {repository}, which is not in the cache {datasets.config.HF_DATASETS_CACHE}, "
            f"and the hub did not give it ({reason})",
            f'check the network; without one, give data_root = "DIR" with {entry.name}/train.jsonl and '
            f"{entry.name}/validation.jsonl in DIR (csv and parquet will do too)",
        ) from None
    source, names = f"{repository}, {split} of {name or 'all'}", list(columns(entry))
    check_names(source, names, rows.column_names)
    numbers = range(1, len(rows) + 1)
    return Content(source, rows.select_columns(names)[:], numbers, rows.column_names, Faults(source, "row"))
