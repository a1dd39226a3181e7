"""The adapter of a finished run, made again on its base model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from core.adapters.package import adapted, check_installed, read_config
from core.model.deltafile import DeltaFile
from core.model.loading import Own

PREFIX = "base_model.model."  # of the names of PEFT


def load_adapter(
    network: nn.Module, file: DeltaFile, base: str, task_type: str | None = None, heads: Sequence[str] = ()
) -> Any:
    """The PeftModel of a run on `network`, which is changed; modules in `heads` are saved with the adapter.

    Raises ModelError if PEFT is not installed, or the head does not fit.
    """
    check_installed("an adapter of PEFT")
    from peft import set_peft_model_state_dict

    assert file.adapter is not None
    Own(network, file.own)
    changes = {"task_type": task_type, "modules_to_save": list(heads) or None, "base_model_name_or_path": base}
    head = {
        f"{PREFIX}{path}.{name}": tensor.clone()
        for path in heads
        for name, tensor in network.get_submodule(path).state_dict().items()
    }
    model = adapted(network, read_config(file.adapter, **changes))
    set_peft_model_state_dict(model, {**file.adapted, **head})
    return model.eval()
