"""How large a space is on a model."""

from __future__ import annotations

from dataclasses import dataclass

from core.run.fields import Count


@dataclass(frozen=True)
class Size:
    """A space on a model: its candidates and their parameters, and the size of the model; or why that is unknown.

    `parameters` are those of the largest structure, `smallest` those of the smallest candidate. `misfit` says whether
    the model is known and the space has no place on it.
    """

    candidates: Count = 0
    parameters: Count = 0
    backbone: Count = 0
    problem: str = ""
    smallest: Count = 0
    misfit: bool = False
