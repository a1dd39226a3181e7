"""Tokenised splits and their batches as tensors.

The orders of batches come from `core.tasks.order`, and can be imported from here too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import torch

from core.run.errors import DataError, SpecError
from core.run.foreign import foreign
from core.run.prompts import CHAT
from core.tasks.inputs import InputFormat
from core.tasks.order import batch_indices, epoch_order, halves, steps_per_epoch
from core.tasks.prompts import CUE, Chat, Prompts, fitted
from core.tasks.ragged import Ragged
from core.tasks.task import Example, Split, Task
from core.tasks.texts import columns_of, source_text, target_text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase
    from typing_extensions import Self

__all__ = [
    "CUE", "IGNORED_LABEL", "Encoded", "Prompted", "answer_ids", "batch_indices", "encode_classification",
    "encode_split", "epoch_order", "halves", "label_ids", "length_sorted_batches", "padding_of", "prompts_of",
    "source_text", "steps_per_epoch", "target_text",
]  # fmt: skip

# The label that cross-entropies of torch and transformers ignore.
IGNORED_LABEL = -100


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

    def only(self, rows: Sequence[int]) -> Self:
        """These rows."""
        labels = self.labels
        kept = labels.only(rows) if isinstance(labels, Ragged) else [labels[i] for i in rows]
        types = None if self.token_type_ids is None else self.token_type_ids.only(rows)
        return replace(self, input_ids=self.input_ids.only(rows), labels=kept, token_type_ids=types)

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


def encode_split(task: Task, split: Split, tokenizer: PreTrainedTokenizerBase, inputs: InputFormat) -> Encoded:
    """Tokenise a split in the form for a model. The input of a row for whose text there is no room is empty."""
    rows = task.splits[split]
    if inputs.form == "head":
        return encode_classification(rows, tokenizer, task.max_length)
    read, padding = prompt_ids(rows, tokenizer, prompts_of(task, tokenizer, inputs)), padding_of(tokenizer)
    if inputs.form == "prompt-head":
        return Encoded(read, [row.label for row in rows], padding)
    targets = [target_text(task, row) for row in rows]
    if inputs.form == "prompt":
        return Prompted(read, Ragged.of(answer_ids(tokenizer, targets)), padding)
    return Encoded(read, Ragged.of(_tokens(tokenizer, text_target=targets)["input_ids"]), padding)


def encode_classification(examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, max_length: int) -> Encoded:
    """Tokenise examples for an encoder with a classification or regression head.

    One field is one text, two are a text pair; three or more are joined into one text with their names.
    """
    tokens = _tokens(tokenizer, *columns_of(examples), truncation=True, max_length=max_length)
    types = None if tokens.get("token_type_ids") is None else Ragged.of(tokens["token_type_ids"])
    labels = [example.label for example in examples]
    return Encoded(Ragged.of(tokens["input_ids"]), labels, padding_of(tokenizer), types)


def prompts_of(task: Task, tokenizer: PreTrainedTokenizerBase, inputs: InputFormat) -> Prompts:
    """What writes the prompts of a task; a decoder's end with a cue, and so do those with examples."""
    cue = CUE if inputs.form != "text" or inputs.shots else ""
    return Prompts(task, inputs.prompt, inputs.shots, inputs.seed, _chat_of(tokenizer, inputs.prompt), cue)


def prompt_ids(rows: Sequence[Example], tokenizer: PreTrainedTokenizerBase, prompts: Prompts) -> Ragged:
    """The tokens of the prompts, each cut to the task's length, its ending aside; none where a row has no room."""
    found = _plain_ids(rows, tokenizer, prompts) if prompts.is_plain else _fitted_ids(rows, tokenizer, prompts)
    ending = _tokens(tokenizer, prompts.ending, add_special_tokens=False)["input_ids"] if prompts.ending else []
    return Ragged.of([ids + ending if ids else [] for ids in found])


def _plain_ids(rows: Sequence[Example], tokenizer: PreTrainedTokenizerBase, prompts: Prompts) -> list[list[int]]:
    """Source texts, which the tokenizer cuts."""
    texts = [source_text(prompts.task, row) for row in rows]
    ids: list[list[int]] = _tokens(tokenizer, texts, truncation=True, max_length=prompts.task.max_length)["input_ids"]
    return ids


def _fitted_ids(rows: Sequence[Example], tokenizer: PreTrainedTokenizerBase, prompts: Prompts) -> list[list[int]]:
    """Prompts of which only the row's own texts are cut; a chat template has written special tokens itself."""

    def ids_of(texts: list[str]) -> list[list[int]]:
        ids: list[list[int]] = _tokens(tokenizer, texts, add_special_tokens=prompts.kind != CHAT)["input_ids"]
        return ids

    texts = fitted(prompts, rows, lambda texts: list(map(len, ids_of(texts))), prompts.task.max_length)
    written = iter(ids_of([text for text in texts if text is not None] or [""]))
    return [[] if text is None else next(written) for text in texts]


def _chat_of(tokenizer: PreTrainedTokenizerBase, prompt: str) -> Chat | None:
    """The tokenizer's chat template; raises SpecError if it has none that is asked for."""
    if prompt != CHAT:
        return None
    if not getattr(tokenizer, "chat_template", None):
        raise SpecError('prompt = "chat": the tokenizer of the model has no chat template', "write a template instead")

    def write(messages: list[dict[str, str]]) -> str:
        with foreign("the chat template of the model cannot write the texts of the task"):
            return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))

    return write


def answer_ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """The tokens of a decoder's answers, each followed by the end-of-text token."""
    written = _tokens(tokenizer, list(texts), add_special_tokens=False)["input_ids"]
    return [[*ids, tokenizer.eos_token_id] for ids in written]


def label_ids(tokenizer: PreTrainedTokenizerBase, labels: Sequence[str], is_decoder: bool) -> list[list[int]]:
    """The tokens of labels as a decoder or an encoder-decoder answers with them.

    Raises DataError if two labels are the same tokens, between which no answer decides.
    """
    answers = answer_ids(tokenizer, labels) if is_decoder else _tokens(tokenizer, text_target=list(labels))["input_ids"]
    known: dict[tuple[int, ...], str] = {}
    for label, ids in zip(labels, answers, strict=True):
        if (other := known.setdefault(tuple(ids), label)) != label:
            raise DataError(
                f"the labels {other!r} and {label!r} are the same tokens to the model", "write one of them otherwise"
            )
    return answers


def padding_of(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token that batches are padded with: any serves where the tokenizer has none, as padding is masked."""
    known = (tokenizer.pad_token_id, tokenizer.eos_token_id)
    return next((int(token) for token in known if token is not None), 0)


def length_sorted_batches(encoded: Encoded, batch_size: int) -> list[list[int]]:
    """Indices in batches of similar length, each row once: for evaluation with little padding."""
    # The longest come first, so that a batch too large for the memory fails at once.
    lengths = encoded.input_ids.lengths
    order = sorted(range(len(encoded)), key=lambda i: -lengths[i])
    return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]


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
