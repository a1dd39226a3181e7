"""The input and target texts of examples."""

from __future__ import annotations

from collections.abc import Sequence

from core.tasks.task import Example, Task


def columns_of(examples: Sequence[Example]) -> list[list[str]]:
    """The input of a model with a head: one or two columns of texts; three or more fields become one text."""
    width = len(examples[0].fields)
    if width <= 2:
        return [[example.fields[i][1] for example in examples] for i in range(width)]
    return [[described(example) for example in examples]]


def source_text(task: Task, example: Example) -> str:
    """The source text of a text-to-text model: the task's name, then each field after its name."""
    return f"{task.name} {described(example, task.bare)}"


def target_text(task: Task, example: Example) -> str:
    """The target text of a text-to-text model: a label, a number rounded to the task's steps, or the first answer."""
    if task.kind == "text":
        return example.answers[0]
    if task.kind == "regression":
        return f"{round(example.label * task.steps) / task.steps:.1f}"
    return task.labels[int(example.label)]


def described(example: Example, bare: Sequence[str] = ()) -> str:
    """All fields in one text, each after its name."""
    return " ".join(f"{name}{'' if name in bare else ':'} {text}" for name, text in example.fields)
