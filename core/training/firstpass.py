"""A trial pass before training: checks that the model can read the task's tokens, compute its loss, and answer."""

from __future__ import annotations

from typing import Any

import torch

from core.model.backbone import Backbone
from core.run.errors import ModelError
from core.run.foreign import foreign
from core.tasks.ragged import Ragged
from core.training.data import RANKED, Data
from core.training.evaluate import label_likelihoods
from core.training.loss import loss_of

ROWS = 2  # the shortest of the training split


@torch.no_grad()
def check_passes(name: str, backbone: Backbone, data: Data) -> None:
    """Try each kind of pass that the run needs on a few rows; raises ModelError if one fails.

    Uses no random numbers of the global generator, so that it does not change the results of a run.
    """
    _check_tokens(name, backbone, data)
    encoded = data.splits["train"]
    lengths = encoded.input_ids.lengths
    rows = sorted(range(len(encoded)), key=lengths.__getitem__)[:ROWS]
    batch, questions = data.batch("train", rows), data.questions("train", rows)
    with foreign(f"the model {name} cannot compute the loss of the task"):
        loss: Any = loss_of(backbone.model, batch, "torch")
    if not isinstance(loss, torch.Tensor) or loss.ndim:
        raise ModelError(f"the model {name} gives no loss for the labels of the task", "take one of docs/models.md")
    if data.answering in RANKED:
        hint = 'its answers cannot be ranked: set evaluation = "generate", or take a model of docs/models.md'
        with foreign(f"the model {name} cannot read an answer after its question", hint):
            label_likelihoods(backbone, data.task.labels[:1], questions)
    if data.answering == "generate":
        with foreign(f"the model {name} cannot write an answer"):
            backbone.model.generate(**questions, max_new_tokens=1, do_sample=False)  # type: ignore[operator]


def _check_tokens(name: str, backbone: Backbone, data: Data) -> None:
    """Raise ModelError unless every token is in the model's vocabulary; another one would crash a process on a GPU."""
    with foreign(f"the model {name} has no embedding of tokens"):
        model: Any = backbone.model
        known = len(model.get_input_embeddings().weight)
    for encoded in data.splits.values():
        ragged = [part for part in (encoded.input_ids, encoded.labels) if isinstance(part, Ragged)]
        largest = max([encoded.pad_id, *(int(part.values.max()) for part in ragged if len(part.values))])
        if largest >= known:
            problem = f"the tokenizer of {name} makes the token {largest:,}, and the model knows {known:,}"
            raise ModelError(problem, "put the tokenizer that belongs to the model in its folder")
