"""Sparse structure search for parameter-efficient fine-tuning, without user interface and scheduling.

Importing `core` or anything under `core.run` loads neither torch nor transformers; the heavy parts are `core.tasks`,
`core.model` and `core.search`. The functions meant for other programs are here and imported on first use:

    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=21)
    core.load_delta(model, "runs/first/searched")    # attaches the structure and the head of that run
    core.merge_delta(model, "runs/first/searched")   # or: folds into the weights whatever can be folded exactly
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
