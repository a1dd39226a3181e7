"""Sparse structure search for parameter-efficient tuning: one process, no screen, no scheduling.

Importing `core` or anything under `core.run` loads neither torch nor transformers; the heavy parts are
`core.tasks`, `core.model` and `core.search`. What other people's code needs is here, and loaded when it is used:

    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=21)
    core.load_delta(model, "runs/first/searched")    # computes with the structure and the head of that run
    core.merge_delta(model, "runs/first/searched")   # or: folds into the weights what can be folded exactly
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.model.loading import LoadedDelta, load_delta
    from core.model.merging import Merged, merge_delta

__all__ = ["LoadedDelta", "Merged", "load_delta", "merge_delta"]

_HOMES = {
    "LoadedDelta": "core.model.loading",
    "load_delta": "core.model.loading",
    "Merged": "core.model.merging",
    "merge_delta": "core.model.merging",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
