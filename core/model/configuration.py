"""Finds a model by its name, and reads and checks its configuration; no weights are read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from core.model.gguf import unpack
from core.model.limits import check_counts
from core.model.sites import reads_both_ways
from core.run.errors import ModelError
from core.run.foreign import foreign, reason
from core.run.modelfiles import gguf_file, resolve

# Options that a model's files must not decide: no code of their own is run, and transformers chooses the kernels of
# attention and experts, as one named in a file would be downloaded and run.
FIXED_OPTIONS: dict[str, Any] = {
    "trust_remote_code": False,
    "attn_implementation": None,
    "experts_implementation": None,
}

# An encoder answers with a head, the others generate text.
Kind = Literal["encoder", "encoder-decoder", "decoder"]


def read_configuration(name: str) -> tuple[str, Any]:
    """The location of a model and its configuration, checked; it never runs code that is not in transformers."""
    _quiet_transformers()
    source, file = resolve(name), gguf_file(name)
    if file is not None:
        unpack(name, file, Path(source))
    from transformers import CONFIG_MAPPING, AutoConfig, PreTrainedConfig

    with reading_files(name, source):
        written, _ = PreTrainedConfig.get_config_dict(source)
        if "auto_map" in written and written.get("model_type") not in CONFIG_MAPPING:
            raise ModelError(f"{name} needs code of its own, which is never run", "take a model that transformers has")
        check_counts(name, written)
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    _check_plain(name, config)
    if (Path(source) / "adapter_config.json").is_file():
        raise adapter_error(name)
    return source, config


def kind_of(name: str, config: Any, head: bool = False) -> Kind:
    """The kind of a model with this configuration; raises ModelError if transformers has no suitable class for it.

    With `head` a decoder gets a classification head; an encoder has one anyway, an encoder-decoder is refused.
    """
    from transformers.models.auto import modeling_auto as auto

    family, headed = str(config.model_type), auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES
    kind: Kind = "encoder"
    classes = headed
    if family == "xlnet":  # listed with the decoders
        raise ModelError(f"{name} is an XLNet, which fills in words in any order and continues no text")
    if config.is_encoder_decoder:
        kind, classes = "encoder-decoder", auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES
    elif not reads_both_ways(config):
        kind, classes = "decoder", auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    if head and (kind == "encoder-decoder" or family not in headed):
        whose = "an encoder-decoder" if kind == "encoder-decoder" else f"a {family!r} in transformers"
        raise ModelError(f"{name} answers with text: {whose} has no head here", "leave head = true out")
    if family not in classes:
        raise ModelError(f"{name} is a {family!r}, which transformers loads neither with a head nor as one that writes")
    return kind


def _check_plain(name: str, config: Any) -> None:
    """Raise ModelError for options that change the network itself, such as quantised weights."""
    for part in (config, config.get_text_config(decoder=True)):
        for key in ("quantization_config", "compression_config"):
            if getattr(part, key, None) is not None:
                raise ModelError(f"the weights of {name} are quantised", "take the model that it was made from")
    if getattr(config, "fusion_config", None) is not None:
        raise ModelError(f"config.json of {name} fuses layers, which changes results", "delete its fusion_config")
    if getattr(config, "slow_but_exact", False):  # a BLOOM, which then reads weights without their modules
        raise ModelError(f"config.json of {name} slices its layers", "set its slow_but_exact to false")


def adapter_error(name: str) -> ModelError:
    """The error for a folder that holds a PEFT adapter and not a model."""
    return ModelError(f"{name} is an adapter of PEFT", "merge it into its model, and give the folder of that")


def check_numbers(name: str, owner: Any, *keys: str) -> None:
    """Raise ModelError if one of these attributes is not a number: transformers does not check all of them."""
    for key in keys:
        value = getattr(owner, key, None)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ModelError(f"{key} of {name} is {reason(ValueError(repr(value)))}", "it should be a number")


@contextlib.contextmanager
def reading_files(name: str, source: str) -> Iterator[None]:
    """A context in which a model's files are read: errors become ModelErrors of one line."""
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
    """Switch off progress bars and advice of transformers, which would fill the log of a run."""
    import transformers
    from huggingface_hub.utils.tqdm import disable_progress_bars

    transformers.logging.set_verbosity_error()
    disable_progress_bars()
    with contextlib.suppress(AttributeError):
        transformers.logging.disable_progress_bar()
