"""What is asked of PEFT: making a network of a configuration, and reading what it would save."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from core.run.errors import ModelError

# How PEFT starts LoRA whose first weights are read afterwards, from a file or from a checkpoint.
READ = {"init_lora_weights": True, "eva_config": None}


def check_installed(what: str) -> None:
    """Raise ModelError unless PEFT can be imported; `what` needs it."""
    try:
        import peft  # noqa: F401
    except ImportError:
        raise ModelError(f"{what} needs PEFT", "pip install 's3tui[peft]'") from None


def adapted(network: nn.Module, config: Any) -> Any:
    """The PeftModel of a configuration; the modules of `network` are replaced in place."""
    from peft import get_peft_model

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return get_peft_model(network, config)


def read_config(data: Mapping[str, Any], **changes: Any) -> Any:
    """The configuration from what `config_dict` gave."""
    from peft import PeftConfig

    return PeftConfig.from_peft_type(**{**data, **changes})  # type: ignore[no-untyped-call]


def config_dict(model: Any) -> dict[str, Any]:
    """PEFT's configuration as JSON values, equal for equal adapters, however they started."""
    config = model.peft_config["default"].to_dict()
    config |= {key: value for key, value in READ.items() if key in config}
    return {key: sorted(value) if isinstance(value, set) else value for key, value in config.items()}


def state_dict(model: Any) -> dict[str, Tensor]:
    """The tensors that PEFT saves, by its names."""
    from peft import get_peft_model_state_dict

    tensors: dict[str, Tensor] = get_peft_model_state_dict(model, save_embedding_layers=False)
    return tensors
