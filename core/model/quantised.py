"""Folders with quantised weights: which libraries read them, and what cannot be done with them."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from typing import Any

from core.run.errors import ModelError

# What transformers needs to read weights of each method, as packages of Python and by their names in the index.
LIBRARIES = {
    "bitsandbytes": (("bitsandbytes", "bitsandbytes"), ("accelerate", "accelerate")),
    "gptq": (("gptqmodel", "gptqmodel"), ("optimum", "optimum")),
    "awq": (("gptqmodel", "gptqmodel"), ("accelerate", "accelerate")),
    "compressed-tensors": (("compressed_tensors", "compressed-tensors"),),
}
INSTEAD = "take the model that it was made from"
MOST_PER_BYTE = 8  # quantised weights: none takes less than a bit


def method_of(config: Any) -> str:
    """The method by which the weights of a configuration are quantised, empty if they are not."""
    for part in (config, config.get_text_config(decoder=True)):
        for key in ("quantization_config", "compression_config"):
            found = getattr(part, key, None)
            if found is not None:
                settings = found if isinstance(found, dict) else found.to_dict()
                method = settings.get("quant_method")
                return str(getattr(method, "value", method) or "an unnamed method")
    return ""


def check_method(name: str, config: Any) -> None:
    """Raise ModelError for quantised weights that are not read here."""
    method = method_of(config)
    if not method:
        return
    if method not in LIBRARIES:
        raise ModelError(f"the weights of {name} are quantised by {method}, which is not read here", INSTEAD)
    missing = list(_missing(method))
    if missing:
        problem = f"the weights of {name} are quantised by {method}, which needs {' and '.join(missing)}"
        raise ModelError(problem, f"pip install {' '.join(missing)}; or {INSTEAD}")


def plain(config: Any) -> Any:
    """The configuration, changed to that of the network as it was before it was quantised."""
    for part in (config, config.get_text_config(decoder=True)):
        if getattr(part, "quantization_config", None) is not None:
            del part.quantization_config
    return config


def check_trainable(name: str, config: Any) -> None:
    """Raise ModelError if the weights of a model, which are to be trained themselves, are quantised."""
    if method := method_of(config):
        problem = f'the weights of {name} are quantised by {method}, and method = "full" cannot train them'
        raise ModelError(problem, f"train deltas beside them, or {INSTEAD}")


def check_unmerged(config: Any) -> None:
    """Raise ModelError if the weights of a model are quantised: they hold no change that was trained."""
    if method := method_of(config):
        raise ModelError(
            f"the weights of the model are quantised by {method}, so nothing can be folded into them",
            "export to delta or peft, whose weights stay beside them; or fold into the model that it was made from",
        )


def _missing(method: str) -> Iterable[str]:
    return (title for module, title in LIBRARIES[method] if importlib.util.find_spec(module) is None)
