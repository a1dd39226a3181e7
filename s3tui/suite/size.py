"""The size of a space on a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.run.fields import Count


@dataclass(frozen=True)
class Size:
    """The candidates of a space on a model and their parameters, and the size of the model; or why that is unknown.

    `parameters` is that of the largest structure, `smallest` that of the smallest candidate. `misfit` is true if the
    model is known but the space cannot be placed on it. `peft` and `merged` are the deltas that these exports cannot
    hold, with their reasons; None where that is not known.
    """

    candidates: Count = 0
    parameters: Count = 0
    backbone: Count = 0
    problem: str = ""
    smallest: Count = 0
    misfit: bool = False
    peft: dict[str, str] | None = None
    merged: dict[str, str] | None = None

    @property
    def exports(self) -> dict[str, dict[str, str]]:
        """What each form of export cannot hold; empty if that is not known."""
        if self.peft is None or self.merged is None:
            return {}
        return {"delta": {}, "peft": self.peft, "merged": self.merged}


def in_words(exports: Mapping[str, Mapping[str, str]]) -> str:
    """Which exports a space allows: `delta, merged; peft unless low-rank-adapter is chosen`."""
    always = [form for form, obstacles in exports.items() if not obstacles]
    others = [f"{form} unless {' or '.join(obstacles)} is chosen" for form, obstacles in exports.items() if obstacles]
    return "; ".join([", ".join(always), *others])
