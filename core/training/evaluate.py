"""Evaluation: predictions of a model and their metrics on a split."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from core.model.backbone import Backbone
from core.runtime import process_group
from core.tasks.batches import label_ids, length_sorted_batches
from core.tasks.metrics import evaluate as metrics_of
from core.tasks.task import Answer, Split, Task
from core.training.data import RANKED, Data

# A prediction, and the probability of each class where there are classes and they were asked for.
Predicted = tuple[Answer, list[float] | None]


def evaluate(
    backbone: Backbone, data: Data, split: Split, batch_size: int, between: Callable[[], None] = lambda: None
) -> dict[str, float]:
    """The metrics of the predictions for a split, the first of which is the score; see `predict`."""
    predictions = [answer for answer, _ in predict(backbone, data, split, batch_size, between)]
    return metrics_of(data.task.metrics, predictions, data.task.splits[split])


@torch.inference_mode()
def predict(
    backbone: Backbone,
    data: Data,
    split: Split,
    batch_size: int,
    between: Callable[[], None] = lambda: None,
    with_probabilities: bool = False,
) -> list[Predicted]:
    """The prediction for each row of a split, in their order; the deltas must be bound during the call.

    `between` is called before each batch, and may abort the evaluation by raising an exception. With several processes,
    each predicts its part of the batches, and all get all predictions.

    A classification head predicts its largest logit; a text-to-text model the label whose text is most likely (by
    itself, or per token), or the text that it generates. `with_probabilities` asks for those of the classes too: the
    softmax of the logits, or of the log-likelihoods that are ranked. What is generated has none.
    """
    backbone.model.eval()
    encoded = data.splits[split]
    batches = length_sorted_batches(encoded, batch_size)
    answered: dict[int, Predicted] = {}
    for turn in range(0, len(batches), process_group.count()):
        between()
        for rows in process_group.part(batches[turn : turn + process_group.count()]):
            predicted = _predict(backbone, data, data.questions(split, rows), with_probabilities)
            answered |= zip(rows, predicted, strict=True)
    found = {row: answer for some in process_group.gathered(answered) for row, answer in some.items()}
    return [found[row] for row in range(len(encoded))]


def _predict(backbone: Backbone, data: Data, batch: dict[str, Tensor], with_probabilities: bool) -> list[Predicted]:
    if data.answering == "head":
        logits = backbone.model(**batch).logits.float()
        if data.task.kind == "regression":
            return [(number, None) for number in logits.squeeze(-1).tolist()]
        return _most_likely(logits, with_probabilities)
    if data.answering in RANKED:
        per_token = data.answering == "rank-per-token"
        return _most_likely(label_likelihoods(backbone, data.task.labels, batch, per_token), with_probabilities)
    written = backbone.model.generate(  # type: ignore[operator]
        **batch, max_new_tokens=data.longest_target, do_sample=False
    )
    if backbone.is_decoder:  # the output begins with the prompt
        written = written[:, batch["input_ids"].shape[1] :]
    texts = backbone.tokenizer.batch_decode(written, skip_special_tokens=True)
    return [(_understood(text.strip(), data.task), None) for text in texts]


def _most_likely(scores: Tensor, with_probabilities: bool) -> list[Predicted]:
    """The class of the largest of the scores (rows, classes), with the softmax of them if it is asked for."""
    answers = scores.argmax(-1).tolist()
    shares: list[Any] = scores.softmax(-1).tolist() if with_probabilities else [None] * len(answers)
    return list(zip(answers, shares, strict=True))


def _understood(text: str, task: Task) -> Answer:
    """The answer that a generated text stands for; -1 if it is not a label."""
    if task.kind == "classification":
        return task.labels.index(text) if text in task.labels else -1
    return _number(text) if task.kind == "regression" else text


def label_likelihoods(
    backbone: Backbone, labels: Sequence[str], batch: dict[str, Tensor], per_token: bool = False
) -> Tensor:
    """log P(label text | source) for each row and label, (rows, labels); the source is read once for all labels.

    `per_token` divides it by the number of the label's tokens, the end of text included.
    """
    read = _read_by_decoder if backbone.is_decoder else _read_by_encoder
    score = read(backbone, batch)
    rows, device = len(batch["input_ids"]), batch["input_ids"].device
    answers = label_ids(backbone.tokenizer, labels, backbone.is_decoder)
    targets = [torch.tensor([ids], device=device).repeat(rows, 1) for ids in answers]
    scores = torch.stack([score(target) for target in targets], -1)
    return scores / torch.tensor([target.shape[1] for target in targets], device=device) if per_token else scores


def _read_by_encoder(backbone: Backbone, batch: dict[str, Tensor]) -> Callable[[Tensor], Tensor]:
    """Encode the sources; returns the function that scores targets (rows, tokens)."""
    model: Any = backbone.model
    mask = batch["attention_mask"]
    encoded = model.get_encoder()(input_ids=batch["input_ids"], attention_mask=mask)

    def score(target: Tensor) -> Tensor:
        return _log_likelihood(model(encoder_outputs=encoded, attention_mask=mask, labels=target).logits, target)

    return score


def _read_by_decoder(backbone: Backbone, batch: dict[str, Tensor]) -> Callable[[Tensor], Tensor]:
    """Read all but the last token of the prompts; returns the function that scores targets (rows, tokens).

    The last token, which predicts the first one of a target, is read with each target. So the logits of a whole prompt,
    as large as the vocabulary for each token, are never computed.
    """
    model: Any = backbone.model
    ids, mask = batch["input_ids"], batch["attention_mask"]
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    read = model.base_model(
        input_ids=ids[:, :-1], attention_mask=mask[:, :-1], position_ids=positions[:, :-1], use_cache=True
    ).past_key_values

    def score(target: Tensor) -> Tensor:
        following = torch.cat([ids[:, -1:], target[:, :-1]], 1)
        logits = model(
            input_ids=following,
            attention_mask=torch.cat([mask, torch.ones_like(target[:, :-1])], 1),
            position_ids=positions[:, -1:] + torch.arange(target.shape[1], device=ids.device),
            past_key_values=copy.deepcopy(read),  # reading a target extends the cache
        ).logits
        return _log_likelihood(logits, target)

    return score


def _log_likelihood(logits: Tensor, target: Tensor) -> Tensor:
    """log P of each row's target (rows, tokens), given logits (rows, tokens, vocabulary)."""
    return torch.log_softmax(logits.float(), -1).gather(-1, target[..., None]).sum((1, 2))


def _number(text: str) -> float:
    """The number that a generated text is; -1 if it is none, as in the paper's code."""
    with contextlib.suppress(ValueError):
        if math.isfinite(value := float(text)):
            return value
    return -1.0
