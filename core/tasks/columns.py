"""Guesses which columns of a data file hold the texts and the label."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.run.datapath import check_data_path
from core.run.errors import DataError, S3Error
from core.run.task_spec import FileTask
from core.tasks.content import Content, Layout
from core.tasks.files import data_files
from core.tasks.preview import beginnings
from core.tasks.reading import NO_VALUES, content_of, layout_keys

# Usual names of label and text columns, in lower case.
LABELS = ("label", "labels", "class", "category", "target", "y", "sentiment", "stars", "rating", "intent", "topic",
          "emotion", "gold", "answer", "score")  # fmt: skip
TEXTS = ("text", "title", "headline", "subject", "sentence", "sentence1", "sentence2", "premise", "hypothesis",
         "question", "question1", "question2", "body", "content", "review", "comment", "message", "tweet",
         "description", "document", "utterance", "abstract")  # fmt: skip
SAMPLE_ROWS = 2000  # that the guess is based on
MOST_CLASSES = 0.2  # different values per row of a label column


@dataclass(frozen=True)
class _Column:
    """Statistics of a column over the sampled rows: different values, and the mean number of words."""

    name: str
    different: int
    rows: int
    words: float
    is_plain: bool

    @property
    def may_be_label(self) -> bool:
        """Whether values repeat often enough for a label."""
        return self.is_plain and 2 <= self.different <= max(2, MOST_CLASSES * self.rows)


def describe(path: Path) -> dict[str, Any]:
    """The columns of a file, or of the training file of a folder, with the guessed text and label columns.

    `text` is empty and `label` None if there is no guess; `layout` has the settings of a task that describe the layout
    of the file, if it is not the usual one. If the file cannot be read, `problem` says why.
    """
    try:
        check_data_path(path, folder=True)
        with tempfile.TemporaryDirectory(prefix="s3tui-") as folder:
            nameless = FileTask(path=str(path), text=("-",), label="-")
            file = data_files(beginnings(nameless, Path(folder), []))[0]
            first = content_of(file, (), Layout())
            content = content_of(file, first.names, Layout(first.found.delimiter, first.found.encoding))
            return _described(file, content)
    except S3Error as error:
        return {"problem": str(error)}


def _described(path: Path, content: Content) -> dict[str, Any]:
    columns = [_column(name, content.columns[name]) for name in content.names if name]
    label = _label(columns)
    if not columns:
        raise DataError(f"{path} has no column with a name", "put names into its first line")
    return {
        "columns": [column.name for column in columns],
        "text": _texts([column for column in columns if column is not label]),
        "label": label.name if label else None,
        "layout": layout_keys(path, content.found),
        "problem": "",
    }


def _column(name: str, values: Sequence[Any]) -> _Column:
    given = [value for value in values[:SAMPLE_ROWS] if value is not None]
    is_plain = not any(type(value) in NO_VALUES for value in given)
    texts = [str(value) for value in given] if is_plain else []
    words = statistics.fmean(len(text.split()) for text in texts) if texts else 0.0
    return _Column(name, len(set(texts)), len(texts), words, is_plain)


def _label(columns: Sequence[_Column]) -> _Column | None:
    """The column with a usual name of a label, else that with the fewest different values that repeat."""
    named = [column for name in LABELS for column in columns if column.name.lower() == name and column.is_plain]
    likely = sorted(
        (column for column in columns if column.may_be_label), key=lambda column: (column.different, column.words)
    )
    return next(iter([*named, *likely]), None)


def _texts(columns: Sequence[_Column]) -> list[str]:
    """The columns with usual names of texts, else the one with most words."""
    named = [column.name for column in columns if column.name.lower() in TEXTS and column.is_plain]
    if named:
        return named
    longest = max(columns, key=lambda column: column.words, default=None)
    return [longest.name] if longest and longest.words >= 2 else []
