"""Tokenised splits and their batches as tensors.

The orders of batches come from `core.tasks.order`, and can be imported from here too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import torch

from core.run.foreign import foreign
from core.tasks.order import batch_indices, epoch_order, halves, steps_per_epoch
from core.tasks.ragged import Ragged
from core.tasks.task import Example, Split, Task
from core.tasks.texts import columns_of, source_text, target_text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = [
    "IGNORED_LABEL", "Encoded", "Form", "Prompted", "answer_ids", "batch_indices", "encode_classification",
    "encode_prompted", "encode_split", "encode_text_to_text", "epoch_order", "halves", "length_sorted_batches",
    "source_text", "steps_per_epoch", "target_text",
]  # fmt: skip

# The label that cross-entropies of torch and transformers ignore.
IGNORED_LABEL = -100

# The cue after the source text of a decoder; its answer follows.
CUE = "\nanswer:\n"

# The form of tokenised examples: for a classification head, for text-to-text models, or for decoders alone.
Form = Literal["head", "text", "prompt"]


@dataclass(frozen=True)
class Encoded:
    """A tokenised split. `labels` has a class index, a number, or the token ids of a target text for each row."""

    input_ids: Ragged
    labels: list[int | float] | Ragged
    pad_id: int
    token_type_ids: Ragged | None = None

    def __len__(self) -> int:
        return len(self.input_ids)

    def batch(self, indices: Sequence[int]) -> dict[str, torch.Tensor]:
        """The rows at `indices` as tensors for a model's forward, padded on the right to the longest row."""
        rows = [self.input_ids[i] for i in indices]
        tensors = {
            "input_ids": _padded(rows, self.pad_id),
            "attention_mask": _padded([[1] * len(row) for row in rows], 0),
            "labels": _label_tensor([self.labels[i] for i in indices]),
        }
        if self.token_type_ids is not None:
            tensors["token_type_ids"] = _padded([self.token_type_ids[i] for i in indices], 0)
        return tensors

    def loss_terms(self, indices: Sequence[int]) -> int:
        """The number of terms in the mean loss of these rows: the tokens of target texts, or the rows."""
        return self.labels.size(indices) if isinstance(self.labels, Ragged) else len(indices)

    def questions(self, indices: Sequence[int]) -> dict[str, torch.Tensor]:
        """The same without labels."""
        tensors = self.batch(indices)
        del tensors["labels"]
        return tensors


@dataclass(frozen=True)
class Prompted(Encoded):
    """A tokenised split for a decoder: the answer in `labels` continues the prompt in `input_ids`."""

    def batch(self, indices: Sequence[int]) -> dict[str, torch.Tensor]:
        """Prompts with their answers, padded on the right; the loss is on the answers alone.

        The labels are those of the last tokens only, from the one before the first answer on.
        """
        prompts = [self.input_ids[i] for i in indices]
        answers = [cast("list[int]", self.labels[i]) for i in indices]
        rows = [p + a for p, a in zip(prompts, answers, strict=True)]
        labels = _padded([[IGNORED_LABEL] * len(p) + a for p, a in zip(prompts, answers, strict=True)], IGNORED_LABEL)
        return {
            "input_ids": _padded(rows, self.pad_id),
            "attention_mask": _padded([[1] * len(row) for row in rows], 0),
            "labels": labels[:, max(0, min(map(len, prompts)) - 1) :],
        }

    def questions(self, indices: Sequence[int]) -> dict[str, torch.Tensor]:
        """The prompts, padded on the left, so that generated answers follow directly."""
        prompts = [self.input_ids[i] for i in indices]
        return {
            "input_ids": _padded(prompts, self.pad_id, left=True),
            "attention_mask": _padded([[1] * len(row) for row in prompts], 0, left=True),
        }


def encode_split(task: Task, split: Split, tokenizer: PreTrainedTokenizerBase, form: Form) -> Encoded:
    """Tokenise a split in the form for a model."""
    if form == "head":
        return encode_classification(task.splits[split], tokenizer, task.max_length)
    encode = encode_prompted if form == "prompt" else encode_text_to_text
    return encode(task, split, tokenizer, task.max_length)


def encode_classification(examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, max_length: int) -> Encoded:
    """Tokenise examples for a model with a classification or regression head.

    One field is one text, two are a text pair; three or more are joined into one text with their names.
    """
    return _encoded(tokenizer, columns_of(examples), max_length, [example.label for example in examples])


def encode_text_to_text(task: Task, split: Split, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Encoded:
    """Tokenise a split for an encoder-decoder: `name field: text ...` is the source, the label's text the target."""
    examples = task.splits[split]
    sources = [source_text(task, example) for example in examples]
    targets = _tokens(tokenizer, text_target=[target_text(task, example) for example in examples])["input_ids"]
    return _encoded(tokenizer, [sources], max_length, Ragged.of(targets))


def encode_prompted(task: Task, split: Split, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Prompted:
    """Tokenise a split for a decoder: `name field: text ...` and a cue make the prompt, the label's text the answer.

    At `max_length` the source is truncated, never the cue.
    """
    examples = task.splits[split]
    sources = [source_text(task, example) for example in examples]
    encoded = _encoded(tokenizer, [sources], max_length, [])
    cue = _tokens(tokenizer, CUE, add_special_tokens=False)["input_ids"]
    answers = answer_ids(tokenizer, [target_text(task, example) for example in examples])
    return Prompted(Ragged.of([ids + cue for ids in encoded.input_ids]), Ragged.of(answers), encoded.pad_id)


def answer_ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """The tokens of a decoder's answers, each followed by the end-of-text token."""
    written = _tokens(tokenizer, list(texts), add_special_tokens=False)["input_ids"]
    return [[*ids, tokenizer.eos_token_id] for ids in written]


def length_sorted_batches(encoded: Encoded, batch_size: int) -> list[list[int]]:
    """Indices in batches of similar length, each row once: for evaluation with little padding."""
    # The longest come first, so that a batch too large for the memory fails at once.
    lengths = encoded.input_ids.lengths
    order = sorted(range(len(encoded)), key=lambda i: -lengths[i])
    return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]


def _encoded(
    tokenizer: PreTrainedTokenizerBase,
    columns: list[list[str]],
    max_length: int,
    labels: list[int | float] | Ragged,
) -> Encoded:
    tokens = _tokens(tokenizer, *columns, truncation=True, max_length=max_length)
    # Padding is masked, so any id serves for a tokenizer without a padding token (GPT-2).
    pad_id = tokenizer.pad_token_id or 0
    types = tokens.get("token_type_ids")
    return Encoded(Ragged.of(tokens["input_ids"]), labels, pad_id, None if types is None else Ragged.of(types))


def _tokens(tokenizer: PreTrainedTokenizerBase, *texts: str | list[str], **options: Any) -> Any:
    """Apply the tokenizer to texts; raises ModelError if it fails."""
    with foreign("the tokenizer of the model cannot read the texts of the task"):
        return tokenizer(*texts, **options)


def _label_tensor(labels: Sequence[int | float | list[int]]) -> torch.Tensor:
    targets = [label for label in labels if isinstance(label, list)]
    return _padded(targets, IGNORED_LABEL) if targets else torch.tensor(labels)


def _padded(rows: Sequence[list[int]], value: int, left: bool = False) -> torch.Tensor:
    longest = max(map(len, rows))
    pads = [[value] * (longest - len(row)) for row in rows]
    return torch.tensor([pad + row if left else row + pad for row, pad in zip(rows, pads, strict=True)])
