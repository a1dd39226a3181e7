"""Loads a pretrained transformer, frozen, with the head that a task needs."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from core.model.configuration import (
    FIXED_OPTIONS,
    Kind,
    adapter_error,
    check_numbers,
    kind_of,
    read_configuration,
    reading_files,
)
from core.model.keys import check_keys, check_shapes, may_be_missing
from core.model.limits import check_filled, check_size
from core.model.sites import config_of, reads_both_ways
from core.run.errors import ModelError
from core.run.foreign import foreign
from core.tasks.batches import padding_of

# Prefixes of the parameters of classification heads in transformers. Parameters that a checkpoint lacks (a RoBERTa has
# no pooler) are new too; they are found when the checkpoint is loaded.
HEADS = ("classifier.", "pre_classifier.", "score.", "pooler.", "head.")


@dataclass(frozen=True)
class Backbone:
    """A frozen model with its tokenizer.

    `head` names the parameters of a new head; `parameters` counts the others, to which a relative budget refers.
    `unused` names tensors in the files that the model does not have, such as the head of another task.
    """

    model: nn.Module
    tokenizer: Any
    text_to_text: bool
    head: tuple[str, ...]
    parameters: int
    unused: tuple[str, ...] = ()

    @property
    def is_decoder(self) -> bool:
        """Whether the model is a decoder alone, which reads a prompt."""
        return not reads_both_ways(config_of(self.model))

    @property
    def head_parameters(self) -> int:
        """The number of parameters of the new head."""
        return sum(self.model.get_parameter(name).numel() for name in self.head)


@dataclass(frozen=True)
class Pretrained:
    """A model whose weights are not loaded yet: its location, configuration, kind and tokenizer.

    `head` asks for a classification head on a decoder.
    """

    name: str
    source: str
    config: Any
    kind: Kind
    tokenizer: Any
    head: bool = False

    @property
    def text_to_text(self) -> bool:
        """Whether it generates its answers as text."""
        return not has_head(self.kind, self.head)

    @property
    def is_decoder(self) -> bool:
        """Whether it is a decoder alone, which reads a prompt."""
        return self.kind == "decoder"

    def load(self, outputs: int, regression: bool, device: torch.device, dtype: torch.dtype, seed: int) -> Backbone:
        """Load the weights, frozen; a new head has `outputs` outputs and is initialised from `seed`.

        Raises ModelError if there are no weights, or they do not fit the configuration.
        """
        _check_weights(self.name, self.source)
        _check_size(self)
        torch.manual_seed(seed)
        config = copy.deepcopy(self.config)
        if not self.text_to_text:
            config.num_labels = outputs
            config.problem_type = "regression" if regression else "single_label_classification"
        options = {"config": config, "dtype": dtype, "ignore_mismatched_sizes": not self.text_to_text}
        with reading_files(self.name, self.source):
            model, info = _auto_class(self.kind, self.head).from_pretrained(
                self.source, **options, **FIXED_OPTIONS, output_loading_info=True
            )
        head = self._checked_head(model, info)
        model.requires_grad_(False).to(device).eval()
        if self.is_decoder and not self.text_to_text:
            # It answers at the last token that is no padding, so it has to know the token that batches are padded with.
            config_of(model).get_text_config().pad_token_id = padding_of(self.tokenizer)
        if self.text_to_text:
            with foreign(f"the model {self.name} cannot write"):
                write_plainly(model, self.tokenizer)
        unused = tuple(sorted(info["unexpected_keys"]))
        return Backbone(model, self.tokenizer, self.text_to_text, head, count_parameters(model, head), unused)

    def _checked_head(self, model: Any, info: dict[str, Any]) -> tuple[str, ...]:
        """The names of a loaded model's new head; raises ModelError if other parameters are new too."""
        if getattr(model, "_hf_peft_config_loaded", False):
            raise adapter_error(self.name)
        missing, is_headed = info["missing_keys"], not self.text_to_text
        check_keys(
            self.name, {k for k in missing if not (is_headed and may_be_missing(model, k))}, info["unexpected_keys"]
        )
        head = head_of(model, missing) if is_headed else ()
        check_shapes(self.name, info["mismatched_keys"], head)
        return head


def open_pretrained(name: str, head: bool = False) -> Pretrained:
    """Find `builtin:NAME`, a folder, or a name on the hub, without reading its weights.

    With `head` a decoder answers with a classification head. Raises ModelError if there is no such model, or it cannot
    classify or generate text.
    """
    source, config = read_configuration(name)
    from transformers import AutoTokenizer

    kind = kind_of(name, config, head)
    with reading_files(name, source):
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        check_numbers(name, tokenizer, "model_max_length", "eos_token_id", "pad_token_id")
    check_numbers(name, config, "max_position_embeddings")
    if kind == "decoder" and tokenizer.eos_token_id is None:
        hint = "a decoder learns to end its answers with one: set eos_token in its tokenizer_config.json"
        raise ModelError(f"the tokenizer of {name} has no end-of-text token", hint)
    return Pretrained(name, source, config, kind, tokenizer, head)


def load_backbone(
    name: str, outputs: int, regression: bool, device: torch.device, dtype: torch.dtype, seed: int, head: bool = False
) -> Backbone:
    """Find a model and load it."""
    return open_pretrained(name, head).load(outputs, regression, device, dtype, seed)


def load_shape(name: str, head: bool = False) -> tuple[nn.Module, Kind]:
    """The network of a model on the meta device: all shapes, but no weights are read."""
    _, config = read_configuration(name)
    kind = kind_of(name, config, head)
    return _shape(name, kind, config, head), kind


def has_head(kind: Kind, head: bool) -> bool:
    """Whether a model of this kind answers with a classification head; `head` asks for one on a decoder."""
    return kind == "encoder" or head


def write_plainly(model: Any, tokenizer: Any) -> None:
    """Make the model decode greedily, whatever its folder recommends (beam search, penalties)."""
    from transformers import GenerationConfig

    own = model.generation_config
    ids = {key: getattr(own, key) for key in ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")}
    if not config_of(model).is_encoder_decoder:
        # A decoder is trained to end answers with the tokenizer's end-of-text token; many have no padding token.
        ids["eos_token_id"] = tokenizer.eos_token_id
        ids["pad_token_id"] = padding_of(tokenizer)
    model.generation_config = GenerationConfig(**ids)


def head_of(model: nn.Module, missing: Any = ()) -> tuple[str, ...]:
    """The names of the parameters of a classification head, in the model's order."""
    return tuple(n for n, _ in model.named_parameters() if n.startswith(HEADS) or n in set(missing))


def count_parameters(model: nn.Module, head: tuple[str, ...] = ()) -> int:
    """The number of parameters of the model without its new head; tied ones count once."""
    return sum(p.numel() for n, p in model.named_parameters() if n not in set(head))


def _check_weights(name: str, source: str) -> None:
    folder = Path(source)
    if folder.is_dir() and not any(folder.glob("*.safetensors")) and not any(folder.glob("*.bin")):
        raise ModelError(f"the model folder {name} has no weights", "put model.safetensors beside config.json")


def _check_size(model: Pretrained) -> None:
    shape: Any = _shape(model.name, model.kind, model.config, model.head)
    if not Path(model.source).is_dir():  # the hub's own files are consistent
        return
    new = (n for n, _ in shape.named_parameters() if not model.text_to_text and may_be_missing(shape, n))
    check_size(model.name, model.source, shape, new)


def _shape(name: str, kind: Kind, config: Any, head: bool) -> nn.Module:
    """The network of a configuration, on the meta device."""
    with foreign(f"the configuration of {name} makes no model"), torch.device("meta"):
        model: nn.Module = _auto_class(kind, head).from_config(copy.deepcopy(config), **FIXED_OPTIONS)
    check_filled(name, model)
    return model


def _auto_class(kind: Kind, head: bool) -> Any:
    import transformers

    return {
        "encoder": transformers.AutoModelForSequenceClassification,
        "encoder-decoder": transformers.AutoModelForSeq2SeqLM,
        "decoder": transformers.AutoModelForCausalLM,
    }["encoder" if head else kind]
