"""Which candidates other formats can hold: a PEFT adapter, and the weights of the model itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from core.model.deltas import Effect
from core.model.merging import Folding
from core.model.space import Placed, weight_change
from core.run.errors import SpecError
from core.run.spec import Exportable

INSTEAD = (
    '--to delta holds every structure, --to merged what folds into weights; exportable = "peft" in a suite '
    "finds one that PEFT holds"
)


@dataclass(frozen=True)
class Change:
    """A candidate with its effect, not scaled by its delta's factor; None if the effect is no change of weights."""

    placed: Placed
    effect: Effect | None

    @property
    def path(self) -> str:
        """The path of the module."""
        return self.placed.site.module

    @property
    def goes_to(self) -> Literal["low-rank", "norm", "bias", ""]:
        """The part of a PEFT adapter that can express it; empty if none can."""
        parts = {name for name, value in vars(self.effect).items() if value is not None} if self.effect else set()
        if parts == {"low_rank"}:
            return "low-rank"
        if self.placed.site.kind == "norm" and parts and parts <= {"scale", "bias"}:
            return "norm"
        return "bias" if parts == {"bias"} else ""

    def obstacle(self, model: nn.Module) -> str:
        """Why PEFT cannot express it on this model; empty if it can."""
        if self.effect is None or not self.goes_to:
            return "none of its methods beside LoRA and norms"
        lacks = model.get_submodule(self.path)._parameters.get("bias") is None
        return "the module has no bias" if self.effect.bias is not None and lacks else ""


def obstacles(placed: Sequence[Placed], model: nn.Module) -> dict[str, dict[str, str]]:
    """For the formats `peft` and `merged`: what they cannot hold, by its name in words, with the reason.

    A delta is named with its site if others of its kind can be held. No weights are needed: the model may be on the
    meta device.
    """
    blank = _blank(placed)
    changes = [Change(p, weight_change(p, blank, 1.0)) for p in placed]
    of_peft = {i: why for i, change in enumerate(changes) if (why := change.obstacle(model))}
    return {"peft": _named(placed, of_peft), "merged": _named(placed, Folding(model, placed, blank).obstacles())}


def _blank(placed: Sequence[Placed]) -> dict[str, Tensor]:
    """Tensors of the right names and shapes, without data."""
    return {
        f"{p.candidate.module}/{p.candidate.delta}/{name}": torch.empty(weight.shape, device="meta")
        for p in placed
        for name, weight in p.delta.weights(p.site).items()
    }


def _named(placed: Sequence[Placed], why: Mapping[int, str]) -> dict[str, str]:
    """Reasons by delta, as `bitfit`, or by delta and site, as `bitfit at ffn.in`, if the delta stands elsewhere too."""
    names = [p.candidate.delta.partition("(")[0] for p in placed]
    whole = set(names) - {name for i, name in enumerate(names) if i not in why}
    found: dict[str, str] = {}
    for i, reason in why.items():
        found.setdefault(names[i] if names[i] in whole else f"{names[i]} at {placed[i].candidate.site}", reason)
    return found


def restricted(placed: Sequence[Placed], model: nn.Module, exportable: Exportable, whole: bool) -> list[Placed]:
    """The candidates that a run may choose; raises SpecError if none is left, or any is lost where `whole` is set."""
    if exportable == "any":
        return list(placed)
    blank = _blank(placed)
    why = [Change(p, weight_change(p, blank, 1.0)).obstacle(model) for p in placed]
    kept = [p for p, reason in zip(placed, why, strict=True) if not reason]
    lost = next((p for p, reason in zip(placed, why, strict=True) if reason), None)
    if lost is not None and (whole or not kept):
        many = "this structure" if whole else "any candidate of this space"
        reason = next(filter(None, why))
        raise SpecError(
            f'exportable = "peft": PEFT cannot hold {many}: {lost.candidate.name} ({reason})',
            "leave exportable out, or take LoRA, biases of layers that have one, and norms",
        )
    return kept
