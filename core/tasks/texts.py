"""What a model reads of a row, and what it is to write, as plain text."""

from __future__ import annotations

from collections.abc import Sequence

from core.tasks.task import Example, Task


def columns_of(examples: Sequence[Example]) -> list[list[str]]:
    """What a model with a head reads: a column of texts, two of pairs, or one of texts that name all their fields."""
    width = len(examples[0].fields)
    if width <= 2:
        return [[example.fields[i][1] for example in examples] for i in range(width)]
    return [[described(example) for example in examples]]


def source_text(task: Task, example: Example) -> str:
    """What a text-to-text model reads: the name of the task, then each field after its name."""
    return f"{task.name} {described(example, task.bare)}"


def target_text(task: Task, example: Example) -> str:
    """What a text-to-text model is to write: a label string, a number to the task's steps, or the first answer."""
    if task.kind == "text":
        return example.answers[0]
    if task.kind == "regression":
        return f"{round(example.label * task.steps) / task.steps:.1f}"
    return task.labels[int(example.label)]


def described(example: Example, bare: Sequence[str] = ()) -> str:
    """The fields in one text, each after its name."""
    return " ".join(f"{name}{'' if name in bare else ':'} {text}" for name, text in example.fields)
