"""A structure as an adapter of PEFT: its `adapter_config.json` and its `adapter_model.safetensors`.

PEFT is not needed to write one. Its LoraConfig holds LoRA by exact module, rank and alpha; with `bias = "all"` biases
that a module has; with `modules_to_save` whole copies of norms and of a head. Its LNTuningConfig holds norms alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from core.model.backbone import HEADS, Backbone
from core.model.deltafile import DeltaFile
from core.model.deltas.bitfit import BitFit
from core.model.deltas.lnfit import LNFit
from core.model.deltas.lora import LoRA
from core.model.loading import fitting
from core.model.space import Placed
from core.run.errors import ModelError

PREFIX = "base_model.model."
SHOWN = 3  # candidates that a refusal names
INSTEAD = "--to delta holds every structure, --to merged what folds into weights"


def adapter(backbone: Backbone, file: DeltaFile, base: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The configuration and the tensors; raises ModelError that names what PEFT has no place for."""
    model = backbone.model
    placed = fitting(model, file)
    _check(model, placed, file)
    loras = [p for p in placed if isinstance(p.delta, LoRA)]
    norms = list(dict.fromkeys(p.site.module for p in placed if p.site.kind == "norm"))
    heads = list(dict.fromkeys(_head_module(name) for name in file.own))
    common = {"base_model_name_or_path": base, "task_type": _task_type(backbone), "inference_mode": True}
    tensors = {PREFIX + name: tensor for name, tensor in file.own.items()}
    if not loras:
        config = {"peft_type": "LN_TUNING", "target_modules": norms, "modules_to_save": heads or None}
        return common | config, tensors | _norms(model, placed, file.deltas, ".ln_tuning_layers")
    tensors |= _loras(loras, file.deltas) | _biases(model, placed, file.deltas) | _norms(model, placed, file.deltas, "")
    return common | _lora_config(model, placed, loras, [*heads, *norms]), tensors


def _check(model: nn.Module, placed: Sequence[Placed], file: DeltaFile) -> None:
    if not placed:
        what = "all of the model" if len(file.own) == len(list(model.named_parameters())) else "a head alone"
        raise ModelError(f"the run trains {what}, which is no adapter of PEFT", "--to merged writes the whole model")
    has_lora = any(isinstance(p.delta, LoRA) for p in placed)
    problems = [f"{p.candidate.name} ({why})" for p in placed if (why := _obstacle(model, p, has_lora))]
    if problems:
        more = f" and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        listed = ", ".join(problems[:SHOWN]) + more
        raise ModelError(f"PEFT cannot hold {len(problems)} of {len(placed)} candidates: {listed}", INSTEAD)


def _obstacle(model: nn.Module, placed: Placed, has_lora: bool) -> str:
    """Why PEFT has no place for a candidate; empty where it has."""
    if isinstance(placed.delta, LoRA | LNFit):
        return ""
    if not isinstance(placed.delta, BitFit):
        return "none of its methods beside LoRA and norms"
    module = model.get_submodule(placed.site.module)
    if module._parameters.get("bias") is None:
        return "the module has no bias"
    if placed.site.kind != "norm" and not has_lora:
        return "biases come with LoRA alone"
    return ""


def _lora_config(
    model: nn.Module, placed: Sequence[Placed], loras: Sequence[Placed], saved: Sequence[str]
) -> dict[str, Any]:
    """A LoraConfig: each module by its whole path, with its rank and alpha (which is scaled by 1 / rank)."""
    ranks, alphas = _ranks(loras)
    conv = [isinstance(model.get_submodule(path), Conv1D) for path in ranks]
    has_biases = any(isinstance(p.delta, BitFit) and p.site.kind != "norm" for p in placed)
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


def _ranks(loras: Sequence[Placed]) -> tuple[dict[str, int], dict[str, int]]:
    """Rank and alpha by module. Several LoRA at one become one of their ranks together, its B scaled already."""
    ranks: dict[str, int] = {}
    alphas: dict[str, int] = {}
    for p in loras:
        assert isinstance(p.delta, LoRA)
        several = p.site.module in ranks
        ranks[p.site.module] = ranks.get(p.site.module, 0) + p.delta.rank
        alphas[p.site.module] = ranks[p.site.module] if several else p.delta.alpha
    return ranks, alphas


def _loras(loras: Sequence[Placed], deltas: Mapping[str, Tensor]) -> dict[str, Tensor]:
    by_module: dict[str, list[Placed]] = {}
    for p in loras:
        by_module.setdefault(p.site.module, []).append(p)
    tensors: dict[str, Tensor] = {}
    for path, here in by_module.items():
        downs = [deltas[f"{path}/{p.candidate.delta}/lora_A"] for p in here]
        factors = [p.delta.factor if len(here) > 1 else 1.0 for p in here]
        ups = [deltas[f"{path}/{p.candidate.delta}/lora_B"] * f for p, f in zip(here, factors, strict=True)]
        tensors[f"{PREFIX}{path}.lora_A.weight"] = torch.cat(downs)
        tensors[f"{PREFIX}{path}.lora_B.weight"] = torch.cat(ups, dim=1)
    return tensors


def _biases(model: nn.Module, placed: Sequence[Placed], deltas: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The biases of linear layers with their change; PEFT keeps a layer with a LoRA under `base_layer`."""
    with_lora = {p.site.module for p in placed if isinstance(p.delta, LoRA)}
    tensors: dict[str, Tensor] = {}
    for p in placed:
        if isinstance(p.delta, BitFit) and p.site.kind != "norm":
            path = p.site.module
            key = f"{PREFIX}{path}.base_layer.bias" if path in with_lora else f"{PREFIX}{path}.bias"
            before = tensors.get(key, model.get_parameter(f"{path}.bias").detach())
            tensors[key] = before + deltas[f"{path}/{p.candidate.delta}/bias"]
    return tensors


def _norms(model: nn.Module, placed: Sequence[Placed], deltas: Mapping[str, Tensor], infix: str) -> dict[str, Tensor]:
    """Whole norms with the changes of their weights and biases."""
    tensors: dict[str, Tensor] = {}
    for p in placed:
        if p.site.kind == "norm":
            path, part = p.site.module, "weight" if isinstance(p.delta, LNFit) else "bias"
            for name, parameter in model.get_submodule(path).named_parameters():
                tensors.setdefault(f"{PREFIX}{path}{infix}.{name}", parameter.detach().clone())
            key = f"{PREFIX}{path}{infix}.{part}"
            tensors[key] = tensors[key] + deltas[f"{path}/{p.candidate.delta}/{part}"]
    return tensors


def _head_module(name: str) -> str:
    """The module that PEFT saves for a parameter of the head: the head as a whole."""
    return name.partition(".")[0] if name.startswith(HEADS) else name.rpartition(".")[0]


def _task_type(backbone: Backbone) -> str:
    if not backbone.text_to_text:
        return "SEQ_CLS"
    return "CAUSAL_LM" if backbone.is_decoder else "SEQ_2_SEQ_LM"
