"""The table of named tasks: GLUE, SuperGLUE and SQuAD in the form of the paper's code, and one without download."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from core.run.plugins import Registry

# The kind of answer: a class, a number or a text.
Kind = Literal["classification", "regression", "text"]

TWO, THREE = ("0", "1"), ("0", "1", "2")
WORDS = ("exact_match", "token_f1")


@dataclass(frozen=True)
class TaskRow:
    """A named task. `load` names the function that loads it, as `module:function`.

    That function takes the settings (`core.run.task_spec.NamedTask`) and the data seed, and returns a `core.tasks.Task`;
    equal arguments must give equal rows in equal order.
    """

    name: str
    load: str = field(kw_only=True)


@dataclass(frozen=True)
class Entry(TaskRow):
    """A task of the paper.

    `fields` are columns of the data set, in the order of the source text; `answer` is the label strings, or the kind of
    answer. For `small` sets the validation rows are halved into validation and test; for `large` ones validation rows
    are taken from the training rows, and the validation rows are the test. `held_out` is the hub's name of the
    validation rows; `data` is the task whose data these are, whose name also begins the source text. In `grouped` sets
    several rows belong to one question.
    """

    fields: str
    answer: tuple[str, ...] | Literal["regression", "text"]
    metrics: tuple[str, ...]
    size: Literal["small", "large"]
    max_length: int
    held_out: str = "validation"
    data: str = ""
    grouped: bool = False
    load: str = field(default="core.tasks.named:load", kw_only=True)

    @property
    def kind(self) -> Kind:
        """Whether answers are classes, numbers or texts."""
        return "classification" if isinstance(self.answer, tuple) else self.answer

    @property
    def labels(self) -> tuple[str, ...]:
        """The label strings; numbers and texts have none."""
        return self.answer if isinstance(self.answer, tuple) else ()

    @property
    def source(self) -> str:
        """The task whose data these are."""
        return self.data or self.name

    @property
    def hub(self) -> tuple[str, str | None]:
        """The repository of parquet files on the hub, and which of its data sets."""
        if self.name == "squad":
            return "rajpurkar/squad", None
        if self.name.startswith("superglue-"):
            return "aps/super_glue", self.name.removeprefix("superglue-")
        return "nyu-mll/glue", self.source


ENTRIES = (
    Entry("cola", "sentence", TWO, ("matthews",), "small", 128),
    Entry("sst2", "sentence", TWO, ("accuracy",), "large", 128),
    Entry("mrpc", "sentence1 sentence2", TWO, ("f1", "accuracy"), "small", 128),
    Entry("qqp", "question1 question2", TWO, ("f1", "accuracy"), "large", 128),
    Entry("stsb", "sentence1 sentence2", "regression", ("pearson", "spearman"), "small", 128),
    Entry("mnli", "premise hypothesis", THREE, ("accuracy",), "large", 128, "validation_matched"),
    Entry("mnli_matched", "premise hypothesis", THREE, ("accuracy",), "large", 128, "validation_matched", "mnli"),
    Entry("mnli_mismatched", "premise hypothesis", THREE, ("accuracy",), "large", 128, "validation_mismatched", "mnli"),
    Entry("qnli", "question sentence", TWO, ("accuracy",), "large", 128),
    Entry("rte", "sentence1 sentence2", TWO, ("accuracy",), "small", 256),
    Entry("wnli", "sentence1 sentence2", TWO, ("accuracy",), "small", 128),
    Entry("superglue-boolq", "question passage", TWO, ("accuracy",), "small", 256),
    Entry("superglue-cb", "premise hypothesis", THREE, ("macro_f1", "accuracy"), "small", 256),
    Entry("superglue-copa", "premise choice1 choice2", TWO, ("accuracy",), "small", 256),
    Entry(
        "superglue-multirc",
        "question answer paragraph",
        TWO,
        ("f1", "question_exact_match"),
        "small",
        256,
        grouped=True,
    ),
    Entry("superglue-rte", "premise hypothesis", TWO, ("accuracy",), "small", 256),
    Entry("superglue-wic", "sentence1 sentence2 word", TWO, ("accuracy",), "small", 256),
    Entry("superglue-wsc.fixed", "text", TWO, ("accuracy",), "small", 256),
    Entry("superglue-record", "query entities passage", "text", WORDS, "large", 512),
    Entry("squad", "question context", "text", WORDS, "large", 512),
)

OWN = (TaskRow("icd10-chapter", load="core.tasks.icd10:load"), *ENTRIES)

TASKS = Registry("tasks", TaskRow, {row.name: row for row in OWN})
