"""The splits of a task, tokenised for a backbone, and the batches of every step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from core.model.backbone import Pretrained
from core.run.errors import SpecError
from core.run.reader import Reader
from core.run.spec import Evaluation, RunSpec
from core.run.training import SearchSettings, Training
from core.runtime import process_group
from core.tasks import cache, identity, load_task
from core.tasks.batches import Encoded, encode_split, label_ids, prompts_of
from core.tasks.inputs import Form, InputFormat, check_reads_no_prompt
from core.tasks.long_rows import without_long_rows
from core.tasks.order import batch_indices, halves, steps_per_epoch
from core.tasks.ragged import Ragged
from core.tasks.task import Split, Task
from core.training.loss import ROW_WEIGHTS

# How answers are predicted: by the logits of a head, the likelihood of each label or of its tokens, or generated text.
Answering = Literal["head", "rank", "rank-per-token", "generate"]

RANKED = ("rank", "rank-per-token")

# The arguments of one forward pass, and the batches of one step (several with gradient accumulation).
Batch = dict[str, Tensor]
Batches = Sequence[Batch]


class Part(Batch):
    """One process's part of a batch; `share` is the weight of its mean loss in the loss of the step."""

    def __init__(self, tensors: Batch, share: float) -> None:
        super().__init__(tensors)
        self.share = share


class Reads(Protocol):
    """The interface of a model, loaded or not, that decides how a task is tokenised and answered."""

    @property
    def tokenizer(self) -> Any:
        """The tokenizer."""

    @property
    def text_to_text(self) -> bool:
        """Whether it generates its answers as text."""

    @property
    def is_decoder(self) -> bool:
        """Whether it is a decoder alone, which reads a prompt."""


@dataclass(frozen=True)
class Data:
    """A task with its tokenised splits, the device of its batches, and how answers are predicted.

    The task's examples have no texts any more, only the labels or answers that predictions are compared with.
    """

    task: Task
    splits: dict[Split, Encoded]
    device: torch.device
    answering: Answering

    @cached_property
    def longest_target(self) -> int:
        """The number of tokens of the longest target text, which limits generated answers."""
        labels = self.splits["train"].labels
        return max(labels.lengths) if isinstance(labels, Ragged) else 0

    def batch(self, split: Split, rows: Sequence[int]) -> Batch:
        """Rows of a split as tensors on the device; training rows with their weights, if classes are weighted."""
        batch = self.splits[split].batch(rows)
        if split == "train" and self.task.class_weights:
            batch[ROW_WEIGHTS] = torch.tensor(self.task.class_weights)[batch["labels"]]
        return self._moved(batch)

    def questions(self, split: Split, rows: Sequence[int]) -> dict[str, Tensor]:
        """The same without labels."""
        return self._moved(self.splits[split].questions(rows))

    def _moved(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return {k: v.to(self.device, non_blocking=True) for k, v in tensors.items()}

    def batches(self, split: Split, rows: Sequence[Sequence[int]]) -> Batches:
        """Several batches; with several processes, this process's part of each."""
        if process_group.count() == 1:
            return [self.batch(split, some) for some in rows]
        return [self._part(split, some, len(some) / sum(map(len, rows))) for some in rows]

    def _part(self, split: Split, rows: Sequence[int], share: float) -> Part:
        """This process's part of a batch that has this share of the step's loss."""
        mine, encoded = process_group.part(rows), self.splits[split]
        return Part(self.batch(split, mine), share * encoded.loss_terms(mine) / encoded.loss_terms(rows))


def load_data(spec: RunSpec, model: Pretrained, device: torch.device, check: Callable[[Task], None]) -> Data:
    """Load and tokenise the data of a run, or take them from the cache; `check` is called with the task before.

    Raises SpecError where the model cannot answer, and whatever loading the task, `check` and `encode` raise.
    """
    source, tokenizer = identity.of_source(spec.task), identity.of_tokenizer(model.tokenizer)
    task = load_task(spec.task, spec.data_seed) if source is None else None
    content = identity.of_examples(task) if task is not None else source
    inputs = inputs_of(spec, model)
    path = cache.path_of(spec.task, spec.data_seed, content, tokenizer, inputs)
    if known := cache.read(path):
        check(known.task)
        return Data(known.task, known.splits, device, answering_of(known.task, model.text_to_text, spec.evaluation))
    task = task or load_task(spec.task, spec.data_seed)
    check(task)
    data = encode(task, model, device, spec.evaluation, inputs)
    if source == identity.of_source(spec.task):  # else the files were replaced while they were read
        cache.write(path, cache.Tokenised(data.task, data.splits))
    return data


def encode(
    task: Task,
    model: Reads,
    device: torch.device,
    evaluation: Evaluation = "auto",
    inputs: InputFormat | None = None,
) -> Data:
    """Tokenise every split as `inputs` has it, by default in the form that the model reads.

    Raises SpecError if the model cannot answer the task so, DataError if rows are too long or labels the same tokens.
    """
    inputs = inputs or InputFormat(form_of(model))
    answering = answering_of(task, model.text_to_text, evaluation)
    if answering in RANKED:
        label_ids(model.tokenizer, task.labels, model.is_decoder)  # which an answer can tell apart
    splits = {split: encode_split(task, split, model.tokenizer, inputs) for split in task.splits}
    if inputs.form != "head":
        task = replace(task, prompt=prompts_of(task, model.tokenizer, inputs).frame())
    task, kept = without_long_rows(task.without_texts(), splits, inputs)
    return Data(task, dict(kept), device, answering)


def inputs_of(spec: RunSpec, model: Pretrained) -> InputFormat:
    """How the rows of a run become what its model reads; raises SpecError for a prompt that an encoder is to read."""
    form, reader = form_of(model), Reader.of(spec)
    if form == "head":
        check_reads_no_prompt(reader.model, reader.prompt, reader.shots)
    positions = getattr(model.config, "max_position_embeddings", None)
    return InputFormat(form, reader.prompt, reader.shots, reader.seed, positions, reader.on_long_rows)


def form_of(model: Reads) -> Form:
    """The form of the examples that a model is trained on."""
    if model.is_decoder:
        return "prompt" if model.text_to_text else "prompt-head"
    return "text" if model.text_to_text else "head"


def answering_of(task: Task, text_to_text: bool, evaluation: Evaluation) -> Answering:
    """How a model answers a task: with its head, or by ranking or generating, as the setting says."""
    if text_to_text and task.class_weights:
        raise SpecError('class_weights = "balanced" is for models that answer with a head', "leave it out")
    if not text_to_text:
        if task.kind == "text":
            raise SpecError(f"task {task.name!r} is answered in free text, which no head writes", "try t5-small")
        return "head"
    if task.kind == "classification":
        return "rank" if evaluation == "auto" else evaluation
    if evaluation in RANKED:
        raise SpecError(f"task {task.name!r} has no set of labels to rank", 'set evaluation = "auto" or "generate"')
    return "generate"


def total_steps(settings: Training, rows: int) -> int:
    """The number of steps: as given, or computed from the epochs over `rows` rows."""
    if settings.max_steps is not None:
        return settings.max_steps
    batches = (settings.epochs or 0) * steps_per_epoch(rows, settings.batch_size)
    return max(1, math.ceil(batches / settings.gradient_accumulation))


def is_evaluated(settings: Training, step: int, total: int) -> bool:
    """Whether to evaluate after `step` steps: every `eval_every` steps and at the end."""
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
    """The orders of the inner and the outer level, each over one half of the training split (S3 paper, section 4).

    A search of one level uses all rows in the first order, and ignores the second.
    """
    inner, outer = halves(rows, seed) if settings.bilevel else (range(rows), range(rows))
    size, batches = settings.batch_size, settings.gradient_accumulation
    outer_size = settings.validation_batch_size or size
    return Order(inner, size, seed, batches), Order(outer, outer_size, seed + 1, batches)


def shares(batches: Batches) -> list[float]:
    """The weights of the batches' mean losses in the loss of the step: their shares of the examples."""
    total = sum(len(batch["labels"]) for batch in batches)
    return [batch.share if isinstance(batch, Part) else len(batch["labels"]) / total for batch in batches]
