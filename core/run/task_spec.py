"""The settings of a task: one named in the table of tasks, or one from the user's files.

The field descriptions are the reference of the TOML keys (docs/toml.md is generated from them).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from core.run.tasks import OWN as TASKS
from core.run.training import Frozen, Positive, Text


class NamedTask(Frozen):
    """A task named in the table of tasks."""

    name: str = Field(description=f"Which task: {', '.join(f'`{task.name}`' for task in TASKS)}.")
    data_root: Text | None = Field(
        default=None,
        description="A folder with the data of the paper's tasks, instead of the hub: `NAME/train` and "
        "`NAME/validation` in it, as jsonl, csv, tsv or parquet with the hub's columns.",
    )
    flaws: Literal["mended", "paper"] = Field(
        default="mended",
        description="`paper` keeps what the paper's code does to `superglue-copa` (no question whether cause or effect "
        "is asked for), `superglue-multirc` (halved row by row, which tears questions apart) and `stsb` (numbers "
        "written to 0.1, not to 0.2).",
    )
    per_class: Positive = Field(
        default=300, description="Of `icd10-chapter`: at most so many texts of each class, all splits together."
    )
    max_length: Positive | None = Field(
        default=None,
        description="Longer texts are cut to so many tokens; by default to the length that the task has in the table "
        "of tasks.",
    )


class FileTask(Frozen):
    """A task from the user's files: one file, or a folder with train, validation and test files."""

    path: Text = Field(
        description="A jsonl (ndjson), json, csv, tsv, txt, parquet, arrow (feather) or xlsx file, also compressed "
        "as `.gz`, which is split 80/10/10 into training, validation and test; or a folder with a `train`, a "
        "`validation` (or `valid`, `val`, `dev`, `eval`) and, if there is one, a `test` file of these kinds."
    )
    text: tuple[Text, ...] = Field(
        min_length=1, description="The columns that hold the text, in order; a single one may stand without a list."
    )
    label: Text = Field(description="The column that holds the label.")
    kind: Literal["auto", "classification", "regression"] = Field(
        default="auto",
        description="Whether labels are classes or numbers to predict; `auto` takes labels with a decimal point as "
        "numbers.",
    )
    labels: tuple[str, ...] | None = Field(
        default=None,
        description="The classes, in order, two or more; by default the labels of the training data, sorted.",
    )
    max_length: Positive = Field(default=128, description="Longer texts are cut to so many tokens.")
    delimiter: Text | None = Field(
        default=None,
        description="Of csv, tsv and txt: the character between two cells. By default a comma, or a tab in a tsv or "
        "txt; if the columns are not found with that, the first of comma, semicolon, tab and bar with which they are.",
    )
    encoding: Text | None = Field(
        default=None,
        description="Of text files: the encoding by its name in Python, such as `cp1252`. By default that of the "
        "file's byte order mark, else UTF-8, else detected from the bytes; `s3tui validate` names it.",
    )
    quoting: Literal["auto", "quoted", "none"] = Field(
        default="auto",
        description="Of csv, tsv and txt: cells may be in quotes (`quoted`), or quotes are text (`none`); with `auto` "
        "quotes are text in tab-separated files that are not quoted as a whole, and an ambiguous file is an error.",
    )
    on_bad_rows: Literal["error", "drop"] = Field(
        default="error",
        description="Rows with a missing or unreadable text or label: `error` stops with their count, `drop` leaves "
        "them out and counts them in the events, the result and the report of the run.",
    )
    fold_labels: bool = Field(
        default=False,
        description="Whether labels that differ only in case or in surrounding spaces are one class, written in lower "
        "case.",
    )
    class_weights: Literal["none", "balanced"] = Field(
        default="none",
        description="`balanced` weighs each row in the training loss by rows / (classes x rows of its class), so that "
        "rare classes count as much as frequent ones; for models that answer with a head.",
    )
    score: Literal["auto", "accuracy", "macro_f1"] = Field(
        default="auto",
        description="The metric of a classification task that is its score and selects the best step; `auto` is "
        "accuracy, or macro F1 if more than 90 % of the training rows are of one class.",
    )

    @field_validator("text", mode="before")
    @classmethod
    def _one_column(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("delimiter")
    @classmethod
    def _one_character(cls, value: str | None) -> str | None:
        if value is not None and (len(value) != 1 or value in '"\r\n\0'):
            raise ValueError('it is one character, as in ";" or "\\t", and no quote or line end')
        return value

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str | None) -> str | None:
        try:
            if value is None or "text".encode(value):
                return value
        except (LookupError, ValueError):
            pass
        raise ValueError('Python knows no text encoding of this name; "utf-8", "cp1252" and "utf-16" are some')

    @field_validator("labels")
    @classmethod
    def _distinct_labels(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is None:
            return None
        twice = [label for label in value if value.count(label) > 1]
        if twice:
            raise ValueError(f"{twice[0]!r} is among them more than once")
        if len(value) < 2:
            raise ValueError("there are at least two classes")
        return value

    @model_validator(mode="after")
    def _numbers_have_no_classes(self) -> FileTask:
        if self.labels is not None and self.kind == "regression":
            raise ValueError("regression predicts numbers, so leave labels out")
        of_classes = ("fold_labels", "class_weights", "score")
        given = [key for key in of_classes if getattr(self, key) != type(self).model_fields[key].default]
        if given and self.kind == "regression":
            raise ValueError(f"regression predicts numbers, so leave {given[0]} out")
        return self


def task_kind(value: Any) -> str:
    """Which of the two kinds of settings a table or an object is: `file` or `named`."""
    keys = value if isinstance(value, dict) else vars(value) if isinstance(value, Frozen) else ()
    return "file" if "path" in keys else "named"


TaskSpec = Annotated[Annotated[NamedTask, Tag("named")] | Annotated[FileTask, Tag("file")], Discriminator(task_kind)]
