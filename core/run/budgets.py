"""Whether a budget can hold: something of a space has to fit into it, and not all of it."""

from __future__ import annotations

from core.run.errors import SpecError
from core.run.spec import CHOOSING, RunSpec


def check_budget(spec: RunSpec, smallest: int, whole: int, backbone_parameters: int) -> None:
    """Raise SpecError where no structure, or every one, would be under the budget.

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
    if budget > whole and spec.method in CHOOSING:
        raise SpecError(
            f"the budget of {budget:,} parameters is above the whole space ({whole:,})",
            "lower it, or train the whole space with method = 'fixed'",
        )
