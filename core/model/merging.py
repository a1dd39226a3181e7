"""Merging: folds trained deltas into the weights of a model, if the result computes the same function."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from core.model.deltafile import read_delta
from core.model.deltas import Effect
from core.model.head_config import HeadConfig
from core.model.loading import LoadedDelta, Own, fitting
from core.model.sites import find_sites
from core.model.space import Placed, weight_change
from core.run.structure import Candidate

# The last projection of each sub-layer that is a module of its own.
ENDS = {"block.attn": "attn.o", "block.cross": "cross.o", "block.ffn": "ffn.out"}


@dataclass(frozen=True)
class Merged:
    """The result of merging: the `folded` candidates, and the names of those `left` with the reasons.

    Candidates left over are attached to the model, which computes the same function; `attached.detach()` removes them.
    """

    folded: tuple[Candidate, ...]
    left: Mapping[str, str]
    attached: LoadedDelta


def merge_delta(model: nn.Module, path: str | Path) -> Merged:
    """Fold the trained structure of a run into the weights of a model, and attach what cannot be folded.

    With W the weight, b the bias of a linear layer: LoRA W + (alpha / r) B A; (IA)3 diag(1 + w) W and (1 + w) b, at
    `ffn.out` W diag(1 + w); BitFit b + b', where there is a bias; LNFit g + w; what a package brings, if its effect is
    of these. At a sub-layer they go into the projection that ends it. Exact but for rounding to the precision of the
    weights. Adapters, prefixes and soft prompts are no change of weights; nor can be folded what follows them in a
    module. The head of the run becomes the model's. Arguments and errors are those of `load_delta`.
    """
    file = read_delta(path)
    placed = fitting(model, file)
    Own(model, file.own)
    HeadConfig(model, file.labels, file.reading.padding)
    left = Folding(model, placed, file.deltas).fold()
    rest = [p for number, p in enumerate(placed) if number in left]
    return Merged(
        folded=tuple(p.candidate for number, p in enumerate(placed) if number not in left),
        left={placed[number].candidate.name: why for number, why in left.items()},
        attached=LoadedDelta(model, rest, file.deltas, Own(model, {}), HeadConfig(model, ())),
    )


class Folding:
    """Folds candidates into a model stage by stage: first those within a module, then those on its output."""

    def __init__(self, model: nn.Module, placed: Sequence[Placed], tensors: Mapping[str, Tensor]) -> None:
        self._model, self._placed = model, placed
        self._effects = [weight_change(p, tensors, p.delta.factor) for p in placed]
        self._ends = {(s.name, s.stack, s.layer): s.module for s in find_sites(model)}
        owners = Counter(id(p) for m in model.modules() for p in m._parameters.values() if p is not None)
        self._tied = {key for key, modules in owners.items() if modules > 1}

    @torch.no_grad()
    def fold(self) -> dict[int, str]:
        """Fold whatever can be folded; returns the numbers of the other candidates with the reasons."""
        left: dict[int, str] = {}
        stages = self._stages()
        for (path, is_last), numbers in sorted(stages.items(), key=lambda item: item[0][1]):
            before = [n for n in stages.get((path, False), ()) if is_last and n in left]
            left |= self._unfolded(path, numbers, before)
            effects = [effect for n in numbers if n not in left and (effect := self._effects[n]) is not None]
            if effects:
                self._fold(path, effects)
        return left

    def obstacles(self) -> dict[int, str]:
        """The numbers of the candidates that cannot be folded, whatever stands beside them, with the reasons."""
        targets = enumerate(map(self._target, self._placed))
        return {number: why for number, path in targets if (why := self._obstacle(path, number))}

    def _stages(self) -> dict[tuple[str, bool], list[int]]:
        """The candidates grouped by the module whose weights they would change; those of sub-layers separately."""
        stages: dict[tuple[str, bool], list[int]] = {}
        for number, placed in enumerate(self._placed):
            stages.setdefault((self._target(placed), placed.site.kind == "block"), []).append(number)
        return stages

    def _target(self, placed: Placed) -> str:
        site = placed.site
        if site.kind != "block" or _is_linear(self._model.get_submodule(site.module)):
            return site.module
        end = self._ends.get((ENDS.get(site.name, ""), site.stack, site.layer), "")
        # If a sub-layer ends with a normalisation, its projection comes before that.
        return end if end.startswith(f"{site.module}.") else site.module

    def _unfolded(self, path: str, numbers: Sequence[int], before: Sequence[int]) -> dict[int, str]:
        """The candidates of a stage that cannot be folded; `before` are those of an earlier stage that were not."""
        why = {n: reason for n in numbers if (reason := self._obstacle(path, n))}
        first = next(iter([*before, *why]), None)
        if first is None:
            return why
        name = self._placed[first].candidate.name
        behind = f"{name} cannot be folded, and is beside or before it"
        # Parallel candidates are independent of each other; sequential ones depend on the sum before them.
        return {n: why.get(n, behind) for n in numbers if n in why or before or self._is_sequential(n)}

    def _is_sequential(self, number: int) -> bool:
        effect = self._effects[number]
        return effect is not None and (effect.output_scale is not None or effect.bias is not None)

    def _obstacle(self, path: str, number: int) -> str:
        """Why a candidate by itself cannot be folded into the module; empty if it can."""
        effect, module = self._effects[number], self._model.get_submodule(path)
        if effect is None:
            return "it is no change of weights"
        if not (_is_linear(module) or self._placed[number].site.kind == "norm"):
            return "it stands after what is no linear layer"
        for part in _parts(effect):
            found = module._parameters.get(part)
            if found is None:
                return f"{path} has no {part}"
            if id(found) in self._tied:
                return f"the {part} of {path} is shared with another module"
        return ""

    def _fold(self, path: str, effects: Sequence[Effect]) -> None:
        """Change the weights of one module: first for its input, then within it, then for its output."""
        module: Any = self._model.get_submodule(path)
        weight, bias = module.weight, module._parameters.get("bias")
        matrix = weight if isinstance(module, nn.Linear) or weight.ndim == 1 else weight.t()
        for change in (e.input_scale for e in effects if e.input_scale is not None):
            matrix.copy_(matrix.float() * (1 + change.to(weight.device)))
        for effect in effects:
            if effect.low_rank is not None:
                down, up = (tensor.to(weight.device) for tensor in effect.low_rank)
                matrix.copy_(matrix.float() + up @ down)
            if effect.scale is not None:
                weight.copy_(weight.float() + effect.scale.to(weight.device))
        for change in (e.output_scale.to(weight.device) for e in effects if e.output_scale is not None):
            matrix.copy_(matrix.float() * (1 + change)[:, None])
            if bias is not None:
                bias.copy_(bias.float() * (1 + change))
        for change in (e.bias.to(weight.device) for e in effects if e.bias is not None):
            bias.copy_(bias.float() + change)


def _is_linear(module: nn.Module) -> bool:
    from transformers.pytorch_utils import Conv1D

    return isinstance(module, nn.Linear | Conv1D)


def _parts(effect: Effect) -> list[str]:
    """The parameters of a module that an effect changes, and that it must therefore have."""
    weights = (effect.low_rank, effect.scale, effect.input_scale, effect.output_scale)
    parts = ["weight"] if any(change is not None for change in weights) else []
    return parts if effect.bias is None else [*parts, "bias"]
