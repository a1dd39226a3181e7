"""Load a pretrained transformer, frozen, in the form that a task needs."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from core.model.keys import check_keys, check_shapes, may_be_missing
from core.model.limits import check_counts, check_filled, check_size
from core.model.sites import config_of, reads_both_ways
from core.run.errors import ModelError
from core.run.foreign import foreign, reason
from core.run.modelfiles import resolve

# The heads that transformers puts on an encoder for classification. What is missing from a checkpoint (a RoBERTa has no
# pooler) is new too, and found when the checkpoint is loaded.
HEADS = ("classifier.", "pre_classifier.", "score.", "pooler.")

# What the files of a model do not decide: no code of their own, and attention and experts as transformers chooses them
# for itself, as a kernel named there would be fetched from a hub and run.
PLAIN: dict[str, Any] = {"trust_remote_code": False, "attn_implementation": None, "experts_implementation": None}

# An encoder answers with a head, the others write.
Kind = Literal["encoder", "encoder-decoder", "decoder"]


@dataclass(frozen=True)
class Backbone:
    """A frozen model with its tokenizer.

    `head` names the parameters of a new head; `parameters` counts the rest, which is what a relative budget refers to.
    `unused` names what the files hold beside the model, such as the head of another task.
    """

    model: nn.Module
    tokenizer: Any
    text_to_text: bool
    head: tuple[str, ...]
    parameters: int
    unused: tuple[str, ...] = ()

    @property
    def is_decoder(self) -> bool:
        """Whether the model reads and writes one text, so that an answer goes on where its question ends."""
        return self.text_to_text and not config_of(self.model).is_encoder_decoder

    @property
    def head_parameters(self) -> int:
        """How many parameters the new head has."""
        return sum(self.model.get_parameter(name).numel() for name in self.head)


@dataclass(frozen=True)
class Pretrained:
    """A model whose weights are not loaded yet: where it is, its configuration, how it answers, and its tokenizer."""

    name: str
    source: str
    config: Any
    kind: Kind
    tokenizer: Any

    @property
    def text_to_text(self) -> bool:
        """Whether it writes its answers."""
        return self.kind != "encoder"

    @property
    def is_decoder(self) -> bool:
        """Whether it reads and writes one text, so that an answer goes on where its question ends."""
        return self.kind == "decoder"

    def load(self, outputs: int, regression: bool, device: torch.device, dtype: torch.dtype, seed: int) -> Backbone:
        """Load the weights, frozen; a new head has `outputs` outputs and is drawn from `seed`.

        Raises ModelError where there are no weights, or not those of the configuration.
        """
        _check_weights(self.name, self.source)
        _check_size(self)
        torch.manual_seed(seed)
        config = copy.deepcopy(self.config)
        if self.kind == "encoder":
            config.num_labels = outputs
            config.problem_type = "regression" if regression else "single_label_classification"
        options = {"config": config, "dtype": dtype, "ignore_mismatched_sizes": self.kind == "encoder"}
        with _reading(self.name, self.source):
            model, info = _auto_class(self.kind).from_pretrained(
                self.source, **options, **PLAIN, output_loading_info=True
            )
        head = self._checked_head(model, info)
        model.requires_grad_(False).to(device).eval()
        if self.text_to_text:
            with foreign(f"the model {self.name} cannot write"):
                write_plainly(model, self.tokenizer)
        unused = tuple(sorted(info["unexpected_keys"]))
        return Backbone(model, self.tokenizer, self.text_to_text, head, count_parameters(model, head), unused)

    def _checked_head(self, model: Any, info: dict[str, Any]) -> tuple[str, ...]:
        """The new head of a network that has been loaded; raises ModelError where more than that is new."""
        if getattr(model, "_hf_peft_config_loaded", False):
            raise _adapter(self.name)
        missing, is_encoder = info["missing_keys"], self.kind == "encoder"
        check_keys(
            self.name, {k for k in missing if not (is_encoder and may_be_missing(model, k))}, info["unexpected_keys"]
        )
        head = head_of(model, missing) if is_encoder else ()
        check_shapes(self.name, info["mismatched_keys"], head)
        return head


def open_pretrained(name: str) -> Pretrained:
    """Find `builtin:NAME`, a folder, or a name on the hub; its weights are not looked at.

    Raises ModelError where there is no such model, or it is not one that reads text and answers.
    """
    source, config = _configured(name)
    from transformers import AutoTokenizer

    kind = kind_of(name, config)
    with _reading(name, source):
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        _check_numbers(name, tokenizer, "model_max_length", "eos_token_id", "pad_token_id")
    _check_numbers(name, config, "max_position_embeddings")
    if kind == "decoder" and tokenizer.eos_token_id is None:
        hint = "a decoder learns to end its answers with one: set eos_token in its tokenizer_config.json"
        raise ModelError(f"the tokenizer of {name} has no end-of-text token", hint)
    return Pretrained(name, source, config, kind, tokenizer)


def load_backbone(
    name: str, outputs: int, regression: bool, device: torch.device, dtype: torch.dtype, seed: int
) -> Backbone:
    """Find a model and load it."""
    return open_pretrained(name).load(outputs, regression, device, dtype, seed)


def load_shape(name: str) -> tuple[nn.Module, Kind]:
    """The network of a model without its weights: every shape is there, on the meta device, and nothing is read."""
    _, config = _configured(name)
    kind = kind_of(name, config)
    return _shape(name, kind, config), kind


def kind_of(name: str, config: Any) -> Kind:
    """How a model of this configuration answers; raises ModelError where transformers has none that does."""
    from transformers.models.auto import modeling_auto as auto

    family, classes = str(config.model_type), auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES
    kind: Kind = "encoder"
    if config.is_encoder_decoder:
        kind, classes = "encoder-decoder", auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES
    elif not reads_both_ways(config):
        kind, classes = "decoder", auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    if family not in classes:
        raise ModelError(f"{name} is a {family!r}, which transformers loads neither with a head nor as one that writes")
    return kind


def write_plainly(model: Any, tokenizer: Any) -> None:
    """Let the model write the likeliest token each time, whatever its folder recommends (beams, penalties)."""
    from transformers import GenerationConfig

    own = model.generation_config
    ids = {key: getattr(own, key) for key in ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")}
    if not config_of(model).is_encoder_decoder:
        # A decoder learns to end its answers as the tokenizer ends texts; many have no token to pad with.
        ids["eos_token_id"] = tokenizer.eos_token_id
        ids["pad_token_id"] = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    model.generation_config = GenerationConfig(**ids)


def head_of(model: nn.Module, missing: Any = ()) -> tuple[str, ...]:
    """The names of the parameters of a classification head, in the model's order."""
    return tuple(n for n, _ in model.named_parameters() if n.startswith(HEADS) or n in set(missing))


def count_parameters(model: nn.Module, head: tuple[str, ...] = ()) -> int:
    """Parameters of the model without its new head; tied ones count once."""
    return sum(p.numel() for n, p in model.named_parameters() if n not in set(head))


def _check_weights(name: str, source: str) -> None:
    folder = Path(source)
    if folder.is_dir() and not any(folder.glob("*.safetensors")) and not any(folder.glob("*.bin")):
        raise ModelError(f"the model folder {name} has no weights", "put model.safetensors beside config.json")


def _check_numbers(name: str, owner: Any, *keys: str) -> None:
    """Refuse what is read here as a number and is none: transformers does not look at all of them."""
    for key in keys:
        value = getattr(owner, key, None)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ModelError(f"{key} of {name} is {reason(ValueError(repr(value)))}", "it should be a number")


def _check_size(model: Pretrained) -> None:
    shape: Any = _shape(model.name, model.kind, model.config)
    if not Path(model.source).is_dir():  # what a hub gives comes in the size that it has
        return
    new = (n for n, _ in shape.named_parameters() if model.kind == "encoder" and may_be_missing(shape, n))
    check_size(model.name, model.source, shape, new)


def _shape(name: str, kind: Kind, config: Any) -> nn.Module:
    """The network on the meta device."""
    with foreign(f"the configuration of {name} makes no model"), torch.device("meta"):
        model: nn.Module = _auto_class(kind).from_config(copy.deepcopy(config), **PLAIN)
    check_filled(name, model)
    return model


def _configured(name: str) -> tuple[str, Any]:
    """Where a model is, and its configuration, which names no code that is not in transformers."""
    _quiet_transformers()
    source = resolve(name)
    from transformers import CONFIG_MAPPING, AutoConfig, PreTrainedConfig

    with _reading(name, source):
        written, _ = PreTrainedConfig.get_config_dict(source)
        if "auto_map" in written and written.get("model_type") not in CONFIG_MAPPING:
            raise ModelError(f"{name} needs code of its own, which is never run", "take a model that transformers has")
        check_counts(name, written)
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    _check_plain(name, config)
    if (Path(source) / "adapter_config.json").is_file():
        raise _adapter(name)
    return source, config


def _check_plain(name: str, config: Any) -> None:
    """Refuse what would change the network itself: numbers in packed form are no parameters that could be counted."""
    for part in (config, config.get_text_config(decoder=True)):
        for key in ("quantization_config", "compression_config"):
            if getattr(part, key, None) is not None:
                raise ModelError(f"the weights of {name} are quantised", "take the model that it was made from")
    if getattr(config, "fusion_config", None) is not None:
        raise ModelError(f"config.json of {name} fuses layers, which changes results", "delete its fusion_config")


def _adapter(name: str) -> ModelError:
    return ModelError(f"{name} is an adapter of PEFT", "merge it into its model, and give the folder of that")


def _auto_class(kind: Kind) -> Any:
    import transformers

    return {
        "encoder": transformers.AutoModelForSequenceClassification,
        "encoder-decoder": transformers.AutoModelForSeq2SeqLM,
        "decoder": transformers.AutoModelForCausalLM,
    }[kind]


@contextlib.contextmanager
def _reading(name: str, source: str) -> Iterator[None]:
    """Inside, files of a model are read: what cannot be is said in one line."""
    if Path(source).is_dir():
        with foreign(f"the model folder {name} cannot be loaded"):
            yield
        return
    from huggingface_hub.constants import HF_HUB_CACHE

    try:
        with foreign(f"the model {name!r} cannot be loaded"):
            yield
    except ModelError as error:
        if not isinstance(error.__cause__, OSError):
            raise
        raise ModelError(
            f"the model {name!r} is no folder here, not in the cache {HF_HUB_CACHE}, and the hub did not give it",
            "check the name and the network; without a network, copy the model's folder here and give its path",
        ) from None


def _quiet_transformers() -> None:
    """No progress bars and no advice in the log of a run."""
    import transformers
    from huggingface_hub.utils.tqdm import disable_progress_bars

    transformers.logging.set_verbosity_error()
    disable_progress_bars()
    with contextlib.suppress(AttributeError):
        transformers.logging.disable_progress_bar()
