"""Conversion of a structure into a PEFT adapter: `adapter_config.json` and `adapter_model.safetensors`.

PEFT need not be installed. A LoraConfig can express LoRA by exact module, rank and alpha; with `bias = "all"` biases of
modules that have one (without a LoRA beside them, one of zeros is added); with `modules_to_save` whole copies of norms
and of a head. An LNTuningConfig can express norms.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from core.model.backbone import HEADS, Backbone
from core.model.deltafile import DeltaFile
from core.model.loading import fitting
from core.model.portable import INSTEAD, Change
from core.model.space import weight_change
from core.run.errors import ModelError

PREFIX = "base_model.model."
SHOWN = 3  # candidates named in an error message


def adapter(backbone: Backbone, file: DeltaFile, base: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The configuration and the tensors; raises ModelError that names the candidates that PEFT cannot express."""
    model = backbone.model
    changes = [Change(p, weight_change(p, file.deltas, 1.0)) for p in fitting(model, file)]
    _check(model, changes, file)
    loras = [c for c in changes if c.goes_to == "low-rank"]
    biases = [c.path for c in changes if c.goes_to == "bias"]
    norms = list(dict.fromkeys(c.path for c in changes if c.goes_to == "norm"))
    heads = list(dict.fromkeys(head_module(name) for name in file.own))
    common = {"base_model_name_or_path": base, "task_type": task_type(backbone), "inference_mode": True}
    tensors = {PREFIX + name: tensor for name, tensor in file.own.items()}
    if not loras and not biases:
        config = {"peft_type": "LN_TUNING", "target_modules": norms, "modules_to_save": heads or None}
        return common | config, tensors | _norms(model, changes, ".ln_tuning_layers")
    ranks, alphas = _ranks(loras) if loras else ({biases[0]: 1}, {biases[0]: 1.0})
    tensors |= _loras(loras) if loras else _no_lora(model, biases[0])
    tensors |= _biases(model, changes, set(ranks)) | _norms(model, changes, "")
    return common | _lora_config(model, ranks, alphas, bool(biases), [*heads, *norms]), tensors


def _check(model: nn.Module, changes: Sequence[Change], file: DeltaFile) -> None:
    if not changes:
        what = "all of the model" if len(file.own) == len(list(model.named_parameters())) else "a head alone"
        raise ModelError(f"the run trains {what}, which is no adapter of PEFT", "--to merged writes the whole model")
    problems = [f"{c.placed.candidate.name} ({why})" for c in changes if (why := c.obstacle(model))]
    if problems:
        more = f" and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        listed = ", ".join(problems[:SHOWN]) + more
        raise ModelError(f"PEFT cannot hold {len(problems)} of {len(changes)} candidates: {listed}", INSTEAD)


def _lora_config(
    model: nn.Module, ranks: dict[str, int], alphas: dict[str, float], has_biases: bool, saved: Sequence[str]
) -> dict[str, Any]:
    """A LoraConfig: each module by its whole path, with its rank and alpha (which is scaled by 1 / rank)."""
    conv = [isinstance(model.get_submodule(path), Conv1D) for path in ranks]
    return {
        "peft_type": "LORA",
        "target_modules": list(ranks),
        "r": next(iter(ranks.values())),
        "lora_alpha": next(iter(alphas.values())),
        "rank_pattern": ranks,
        "alpha_pattern": alphas,
        "lora_dropout": 0.0,
        "bias": "all" if has_biases else "none",
        "fan_in_fan_out": any(conv),
        "modules_to_save": list(saved) or None,
    }


def _ranks(loras: Sequence[Change]) -> tuple[dict[str, int], dict[str, float]]:
    """Rank and alpha by module; several LoRAs of a module become one with the sum of ranks and a scaled B."""
    ranks: dict[str, int] = {}
    alphas: dict[str, float] = {}
    for change in loras:
        path, rank = change.path, len(_factors(change)[0])
        several = path in ranks
        ranks[path] = ranks.get(path, 0) + rank
        alphas[path] = ranks[path] if several else _whole(change.placed.delta.factor * rank)
    return ranks, alphas


def _whole(alpha: float) -> float:
    """Alpha, rounded to an integer if it differs from one by rounding errors alone."""
    return round(alpha) if math.isclose(alpha, round(alpha)) else alpha


def _factors(change: Change) -> tuple[Tensor, Tensor]:
    """A and B of a LoRA."""
    assert change.effect is not None
    assert change.effect.low_rank is not None
    return change.effect.low_rank


def _loras(loras: Sequence[Change]) -> dict[str, Tensor]:
    by_module: dict[str, list[Change]] = {}
    for change in loras:
        by_module.setdefault(change.path, []).append(change)
    tensors: dict[str, Tensor] = {}
    for path, here in by_module.items():
        downs, ups = zip(*map(_factors, here), strict=True)
        if len(here) > 1:
            ups = tuple(up * c.placed.delta.factor for up, c in zip(ups, here, strict=True))
        tensors[f"{PREFIX}{path}.lora_A.weight"] = torch.cat(downs)
        tensors[f"{PREFIX}{path}.lora_B.weight"] = torch.cat(ups, dim=1)
    return tensors


def _no_lora(model: nn.Module, path: str) -> dict[str, Tensor]:
    """A LoRA of rank 1 that changes nothing: a LoraConfig has biases beside one alone."""
    module: Any = model.get_submodule(path)
    outputs = len(module.bias)
    down, up = torch.zeros(1, module.weight.numel() // outputs), torch.zeros(outputs, 1)
    return {f"{PREFIX}{path}.lora_A.weight": down, f"{PREFIX}{path}.lora_B.weight": up}


def _biases(model: nn.Module, changes: Sequence[Change], with_lora: Collection[str]) -> dict[str, Tensor]:
    """The biases of linear layers with their change; PEFT keeps a layer with a LoRA under `base_layer`."""
    tensors: dict[str, Tensor] = {}
    for change in changes:
        if change.goes_to == "bias" and change.effect is not None and change.effect.bias is not None:
            path = change.path
            key = f"{PREFIX}{path}.base_layer.bias" if path in with_lora else f"{PREFIX}{path}.bias"
            before = tensors.get(key, model.get_parameter(f"{path}.bias").detach())
            tensors[key] = before + change.effect.bias * change.placed.delta.factor
    return tensors


def _norms(model: nn.Module, changes: Sequence[Change], infix: str) -> dict[str, Tensor]:
    """The complete weights and biases of norms, changes included."""
    tensors: dict[str, Tensor] = {}
    for change in changes:
        if change.goes_to == "norm" and change.effect is not None:
            start, factor = f"{PREFIX}{change.path}{infix}", change.placed.delta.factor
            for name, parameter in model.get_submodule(change.path).named_parameters():
                tensors.setdefault(f"{start}.{name}", parameter.detach().clone())
            for part, tensor in (("weight", change.effect.scale), ("bias", change.effect.bias)):
                if tensor is not None:
                    tensors[f"{start}.{part}"] = tensors[f"{start}.{part}"] + tensor * factor
    return tensors


def head_module(name: str) -> str:
    """The module that PEFT saves for a parameter of the head: the head as a whole."""
    return name.partition(".")[0] if name.startswith(HEADS) else name.rpartition(".")[0]


def task_type(backbone: Backbone) -> str:
    """PEFT's name of what a model answers with."""
    if not backbone.text_to_text:
        return "SEQ_CLS"
    return "CAUSAL_LM" if backbone.is_decoder else "SEQ_2_SEQ_LM"
