"""Prompts of text-to-text models and decoders: how the texts of a row are written, with examples before them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from core.run.errors import SpecError, nearest
from core.run.prompts import CHAT, PAPER, escaped, fields_of, filled
from core.tasks.order import permutation
from core.tasks.task import Example, Task
from core.tasks.texts import source_text, target_text

# The cue after the source text of a decoder in the paper's format; its answer follows.
CUE = "\nanswer:\n"
BETWEEN = "\n\n"  # an example and what follows

# Turns the messages of a conversation, with `role` and `content`, into a text up to where the answer begins.
Chat = Callable[[list[dict[str, str]]], str]


@dataclass(frozen=True)
class Prompts:
    """Writes the prompts of a task's rows.

    `kind` is the paper's format, `chat`, or a template; `shots` rows of the training split with their answers come
    first, drawn by `seed`. Raises SpecError if the task cannot be written so.
    """

    task: Task
    kind: str = PAPER
    shots: int = 0
    seed: int = 0
    chat: Chat | None = None
    cue: str = CUE

    def __post_init__(self) -> None:
        check_fields(self.task, self.kind)
        if self.shots and len(self._drawn) <= self.shots:
            problem = f"shots = {self.shots} examples and a row take {self.shots + 1} different training rows"
            raise SpecError(f"{problem}, task {self.task.name!r} has {len(self._drawn)}", "lower shots")

    @property
    def ending(self) -> str:
        """What follows the text of the row: the cue of the paper's format."""
        return self.cue if self.kind == PAPER else ""

    @property
    def is_plain(self) -> bool:
        """Whether a prompt is the source text alone, which a tokenizer cuts by itself."""
        return self.kind == PAPER and not self.shots

    def write(self, row: Example, examples: Sequence[Example]) -> str:
        """The prompt of a row after these examples, without its ending."""
        shown = [(self._question(one), target_text(self.task, one)) for one in examples]
        if self.kind != CHAT:
            before = [f"{question}{self.ending}{answer}{BETWEEN}" for question, answer in shown]
            return "".join([*before, self._question(row)])
        turns = [turn for question, answer in shown for turn in (("user", question), ("assistant", answer))]
        assert self.chat is not None
        return self.chat([{"role": role, "content": text} for role, text in [*turns, ("user", self._question(row))]])

    def examples_for(self, row: Example) -> list[Example]:
        """The examples before a row: for all the same, but that another stands for the row itself."""
        chosen = self._drawn[: self.shots]
        return [self._instead[i] if one.fields == row.fields else one for i, one in enumerate(chosen)]

    def frame(self) -> str:
        """The whole prompt as a template: examples and all, with the name of each field in braces."""
        names = [name for name, _ in self.task.splits["train"][0].fields]
        marks = {name: f"\ue000{i}\ue001" for i, name in enumerate(names)}  # characters that no text has
        text = self.write(Example(tuple(marks.items())), self._drawn[: self.shots]) + self.ending
        text = escaped(text)
        for name, mark in marks.items():
            text = text.replace(mark, f"{{{name}}}")
        return text

    def _question(self, row: Example) -> str:
        if self.kind in (PAPER, CHAT):
            return source_text(self.task, row)
        return filled(self.kind, dict(row.fields))

    @cached_property
    def _drawn(self) -> list[Example]:
        """The different rows of the training split in an order in which labels take turns as long as they can."""
        by_label: dict[object, list[Example]] = {}
        for row in {row.fields: row for row in reversed(self.task.splits["train"])}.values():
            by_label.setdefault(row.label if self.task.labels else None, []).append(row)
        groups = [by_label[label] for label in sorted(by_label, key=str)]
        mixed = [[rows[i] for i in permutation(len(rows), "shots", self.seed)] for rows in groups]
        mixed = [mixed[i] for i in permutation(len(mixed), "labels of shots", self.seed)]
        longest = max(map(len, mixed))
        return [rows[i] for i in range(longest) for rows in mixed if i < len(rows)]

    @cached_property
    def _instead(self) -> list[Example]:
        """For each example the one that takes its place: one of the same label, if there is one."""
        spare = self._drawn[self.shots :]
        return [next((s for s in spare if s.label == one.label), spare[0]) for one in self._drawn[: self.shots]]


def check_fields(task: Task, prompt: str) -> None:
    """Raise SpecError for a template that names a field which the rows of the task do not have."""
    names = [name for name, _ in task.splits["train"][0].fields]
    unknown = [name for name in (() if prompt in (PAPER, CHAT) else fields_of(prompt)) if name not in names]
    if unknown:
        problem = f"prompt names {{{unknown[0]}}}, and the rows of task {task.name!r} have {', '.join(names)}"
        raise SpecError(problem, nearest(unknown[0], names))


def fitted(
    prompts: Prompts, rows: Sequence[Example], measure: Callable[[list[str]], list[int]], limit: int
) -> list[str | None]:
    """The prompt of each row within `limit` tokens, which `measure` counts; None where none of the row's text has room.

    What is too long loses the ends of the row's own texts, each of which keeps as many characters as the others may;
    the template and the examples are never cut.
    """
    examples = [prompts.examples_for(row) for row in rows]
    written: list[str | None] = [prompts.write(*one) for one in zip(rows, examples, strict=True)]
    lengths = measure([text for text in written if text is not None])
    # Kept characters are searched in [low, high), all rows at once.
    bounds = {i: (1, longest(rows[i])) for i, length in enumerate(lengths) if length > limit}
    written = [None if i in bounds else text for i, text in enumerate(written)]
    while bounds := {i: bound for i, bound in bounds.items() if bound[0] < bound[1]}:
        middles = {i: sum(bound) // 2 for i, bound in bounds.items()}
        tried = {i: prompts.write(cut(rows[i], kept), examples[i]) for i, kept in middles.items()}
        for (i, text), length in zip(tried.items(), measure(list(tried.values())), strict=True):
            if length <= limit:
                written[i], bounds[i] = text, (middles[i] + 1, bounds[i][1])
            else:
                bounds[i] = (bounds[i][0], middles[i])
    return written


def longest(row: Example) -> int:
    """The number of characters of a row's longest text."""
    return max(len(text) for _, text in row.fields)


def cut(row: Example, kept: int) -> Example:
    """The row with the first characters of each of its texts."""
    return Example(tuple((name, text[:kept]) for name, text in row.fields), row.label, row.answers, row.group)
