"""Predictions and metrics of a split."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from core.model.backbone import Backbone
from core.search.data import Data
from core.tasks.batches import length_sorted_batches
from core.tasks.metrics import evaluate as metrics_of
from core.tasks.task import Answer, Split, Task


@torch.inference_mode()
def evaluate(
    backbone: Backbone, data: Data, split: Split, batch_size: int, between: Callable[[], None] = lambda: None
) -> dict[str, float]:
    """The metrics of a split, the first of which is the score; the deltas must be bound while this runs.

    `between` is called before each batch, and may end the evaluation by what it raises.

    A classification head answers with its largest logit; a text-to-text model with the label whose text is most
    likely, or with what it writes.
    """
    backbone.model.eval()
    encoded = data.splits[split]
    predictions: list[Answer] = [0] * len(encoded)
    for rows in length_sorted_batches(encoded, batch_size):
        between()
        batch = data.batch(split, rows)
        batch.pop("labels")
        for row, prediction in zip(rows, _predict(backbone, data, batch), strict=True):
            predictions[row] = prediction
    return metrics_of(data.task.metrics, predictions, data.task.splits[split])


def _predict(backbone: Backbone, data: Data, batch: dict[str, Tensor]) -> Sequence[Answer]:
    if data.answering == "head":
        logits = backbone.model(**batch).logits.float()
        answers = logits.squeeze(-1) if data.task.kind == "regression" else logits.argmax(-1)
        return list(answers.tolist())
    if data.answering == "rank":
        return list(label_likelihoods(backbone, data.task.labels, batch).argmax(-1).tolist())
    written = backbone.model.generate(  # type: ignore[operator]
        **batch, max_new_tokens=data.longest_target, do_sample=False
    )
    texts = backbone.tokenizer.batch_decode(written, skip_special_tokens=True)
    return [_understood(text.strip(), data.task) for text in texts]


def _understood(text: str, task: Task) -> Answer:
    """What a model wrote, as an answer to the task; -1 where it is no label."""
    if task.kind == "classification":
        return task.labels.index(text) if text in task.labels else -1
    return _number(text) if task.kind == "regression" else text


def label_likelihoods(backbone: Backbone, labels: Sequence[str], batch: dict[str, Tensor]) -> Tensor:
    """log P(label text | source) for each row and label, (rows, labels); the encoder runs once for all labels."""
    model = backbone.model
    encoded = model.get_encoder()(  # type: ignore[operator]
        input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
    )
    rows = len(batch["input_ids"])
    scores = []
    for ids in backbone.tokenizer(text_target=list(labels))["input_ids"]:
        target = torch.tensor([ids], device=batch["input_ids"].device).repeat(rows, 1)
        logits = model(encoder_outputs=encoded, attention_mask=batch["attention_mask"], labels=target).logits
        log_p = torch.log_softmax(logits.float(), -1).gather(-1, target[..., None])
        scores.append(log_p.sum((1, 2)))
    return torch.stack(scores, -1)


def _number(text: str) -> float:
    """The number that a model wrote; -1 where it wrote something else, as the paper's code counts it."""
    with contextlib.suppress(ValueError):
        if math.isfinite(value := float(text)):
            return value
    return -1.0
