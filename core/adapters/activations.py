"""EVA's start: PEFT decomposes what the targets read on batches of the training data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from core.run.errors import SpecError
from core.training.data import Order
from core.training.loss import ROW_WEIGHTS
from core.training.setup import Setup

BATCHES = 64  # different ones, of the batch size of retraining
MOST = 1000  # passes; PEFT goes on until the directions no longer change
IGNORED = -100  # labels of padding

Inputs = dict[str, Tensor]


def initialise(model: Any, setup: Setup, check: Callable[[], None]) -> None:
    """Set A and the ranks of a PeftModel with an EvaConfig; `check` is called at every batch, and may raise.

    Only tokens of the texts count, no padding. Raises SpecError if the directions still change after MOST passes.
    """
    from peft import initialize_lora_eva_weights

    passes = 0

    def forward(network: Any, inputs: Inputs) -> None:
        nonlocal passes
        check()
        passes += 1
        if passes > MOST:
            raise SpecError(f"the directions of EVA still change after {MOST:,} batches", "raise retrain.batch_size")
        network(**inputs)

    initialize_lora_eva_weights(
        model,
        dataloader=_batches(setup),
        forward_fn=forward,
        prepare_model_inputs_fn=lambda inputs, config: _masks(inputs),
        prepare_layer_inputs_fn=_read_tokens,
        gather_distributed_inputs=False,  # all processes read the same batches
        show_progress_bar=False,
    )


def _batches(setup: Setup) -> list[Inputs]:
    """The first batches of retraining, without labels where the answer is not an input."""
    rows, settings = len(setup.data.splits["train"]), setup.spec.retrain
    order = Order(range(rows), settings.batch_size, setup.spec.seed)
    count = min(BATCHES, -(-rows // settings.batch_size))
    reads_answers = setup.backbone.text_to_text and not setup.backbone.is_decoder
    left_out = {ROW_WEIGHTS} if reads_answers else {ROW_WEIGHTS, "labels"}
    batches = [setup.data.batch("train", order.at(step)[0]) for step in range(count)]
    return [{key: tensor for key, tensor in batch.items() if key not in left_out} for batch in batches]


def _masks(inputs: Inputs) -> list[Tensor]:
    """Which tokens count: of the text, and of the answer where that is an input of its own."""
    masks = [inputs["attention_mask"].bool()]
    return [*masks, inputs["labels"] != IGNORED] if "labels" in inputs else masks


def _read_tokens(read: Any, masks: list[Tensor], name: str) -> Tensor:
    """What a layer has read (tokens, in); layers of a decoder that reads another text have its mask."""
    states: Tensor = read if isinstance(read, Tensor) else read[0]
    fitting = [mask for mask in masks if mask.shape == states.shape[:-1]]
    if not fitting:
        return states.reshape(-1, states.shape[-1])
    return states[fitting[-1] if ".decoder." in name else fitting[0]]
