"""The splits of a task, tokenised for a backbone, and the batches of every step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from core.model.backbone import Backbone
from core.run.errors import SpecError
from core.run.training import SearchSettings, Training
from core.tasks.batches import Encoded, encode_classification, encode_prompted, encode_text_to_text
from core.tasks.order import batch_indices, halves, steps_per_epoch
from core.tasks.task import Split, Task

# How a model answers: by the logits of its head, the likelihood of each label, or what it writes.
Answering = Literal["head", "rank", "generate"]

# What the model sees at once, and all that one step learns from.
Batch = dict[str, Tensor]
Batches = Sequence[Batch]


@dataclass(frozen=True)
class Data:
    """A task with its tokenised splits, on the way to one device, and how a model is to answer."""

    task: Task
    splits: dict[Split, Encoded]
    device: torch.device
    answering: Answering

    @cached_property
    def longest_target(self) -> int:
        """Tokens of the longest text that there is to learn; no answer needs to be longer."""
        return max(len(target) for target in self.splits["train"].labels if isinstance(target, list))

    def batch(self, split: Split, rows: Sequence[int]) -> Batch:
        """Rows of a split as tensors on the device."""
        return self._moved(self.splits[split].batch(rows))

    def questions(self, split: Split, rows: Sequence[int]) -> dict[str, Tensor]:
        """The same without what is to be answered."""
        return self._moved(self.splits[split].questions(rows))

    def _moved(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return {k: v.to(self.device, non_blocking=True) for k, v in tensors.items()}

    def batches(self, split: Split, rows: Sequence[Sequence[int]]) -> Batches:
        """Several batches."""
        return [self.batch(split, some) for some in rows]


def encode(
    task: Task, backbone: Backbone, device: torch.device, evaluation: Literal["auto", "rank", "generate"] = "auto"
) -> Data:
    """Tokenise every split in the form that the backbone reads; raises SpecError where it cannot answer."""
    answering = answering_of(task, backbone.text_to_text, evaluation)
    splits: dict[Split, Encoded] = {}
    for name, examples in task.splits.items():
        if backbone.is_decoder:
            splits[name] = encode_prompted(task, name, backbone.tokenizer, task.max_length)
        elif backbone.text_to_text:
            splits[name] = encode_text_to_text(task, name, backbone.tokenizer, task.max_length)
        else:
            splits[name] = encode_classification(examples, backbone.tokenizer, task.max_length)
    return Data(task, splits, device, answering)


def answering_of(task: Task, text_to_text: bool, evaluation: Literal["auto", "rank", "generate"]) -> Answering:
    """How a model answers a task: an encoder with its head, others as they are asked to, if the task has it."""
    if not text_to_text:
        if task.kind == "text":
            raise SpecError(f"task {task.name!r} is answered in free text, which no encoder writes", "try t5-small")
        return "head"
    if task.kind == "classification":
        return "generate" if evaluation == "generate" else "rank"
    if evaluation == "rank":
        raise SpecError(f"task {task.name!r} has no set of labels to rank", 'set evaluation = "auto" or "generate"')
    return "generate"


def total_steps(settings: Training, rows: int) -> int:
    """The number of steps: as given, or that of the epochs over so many rows."""
    if settings.max_steps is not None:
        return settings.max_steps
    batches = (settings.epochs or 0) * steps_per_epoch(rows, settings.batch_size)
    return max(1, math.ceil(batches / settings.gradient_accumulation))


def is_evaluated(settings: Training, step: int, total: int) -> bool:
    """Whether the state after so many steps is evaluated: every so often, and at the end."""
    return step > 0 and (step % settings.eval_every == 0 or step == total)


@dataclass(frozen=True)
class Order:
    """The rows of every step from a part of the training split: a pure function of the seed and the step."""

    rows: Sequence[int]
    batch_size: int
    seed: int
    batches: int = 1

    def at(self, step: int) -> list[list[int]]:
        """The rows of each batch of this 0-based step."""
        return [self._batch(self.batches * step + i) for i in range(self.batches)]

    def _batch(self, number: int) -> list[int]:
        return [self.rows[i] for i in batch_indices(len(self.rows), self.batch_size, self.seed, number)]


def search_orders(rows: int, settings: SearchSettings, seed: int) -> tuple[Order, Order]:
    """The training split in halves: the inner level learns from one, the outer from the other (S3 paper, section 4).

    With one level, all rows are the first's, and nobody looks at the second.
    """
    inner, outer = halves(rows, seed) if settings.bilevel else (range(rows), range(rows))
    size, batches = settings.batch_size, settings.gradient_accumulation
    outer_size = settings.validation_batch_size or size
    return Order(inner, size, seed, batches), Order(outer, outer_size, seed + 1, batches)


def examples_of(batch: Batch) -> int:
    """How many examples a batch has."""
    return len(batch["labels"])
