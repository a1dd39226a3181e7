"""The size of a space on a model."""

from __future__ import annotations

from dataclasses import dataclass

from core.run.fields import Count


@dataclass(frozen=True)
class Size:
    """The candidates of a space on a model and their parameters, and the size of the model; or why that is unknown.

    `parameters` is that of the largest structure, `smallest` that of the smallest candidate. `misfit` is true if the
    model is known but the space cannot be placed on it.
    """

    candidates: Count = 0
    parameters: Count = 0
    backbone: Count = 0
    problem: str = ""
    smallest: Count = 0
    misfit: bool = False
