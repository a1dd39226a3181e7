"""Checks a budget against a space: at least one candidate must fit into it, but not the whole space."""

from __future__ import annotations

from core.run.errors import SpecError
from core.run.methods import METHODS
from core.run.spec import RunSpec


def check_budget(spec: RunSpec, smallest: int, whole: int, backbone_parameters: int) -> None:
    """Raise SpecError if no structure, or every structure, would be within the budget.

    `smallest` is the smallest candidate of the space on the model and `whole` the largest structure, in parameters.
    """
    budget = spec.parameter_budget(backbone_parameters)
    if budget is None:
        return
    if budget < smallest:
        raise SpecError(
            f"the budget of {budget:,} parameters is below the smallest candidate ({smallest:,})",
            f"raise it, to {smallest / backbone_parameters:.1e} of the backbone or more",
        )
    if budget > whole and METHODS[spec.method].space == "chosen":
        raise SpecError(
            f"the budget of {budget:,} parameters is above the whole space ({whole:,})",
            "lower it, or train the whole space with method = 'fixed'",
        )
