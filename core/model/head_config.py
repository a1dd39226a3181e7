"""Sets in a model's configuration what belongs to a trained head: class names, and the token of padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn


class HeadConfig:
    """Class names and a padding token set in a model's configuration until `give_back`.

    A model with another number of outputs keeps its own names, and one with a padding token keeps that: a decoder with
    a head answers at the last token that is no padding, and without one it would take a single row at a time.
    """

    def __init__(self, model: nn.Module, labels: Sequence[str], padding: int | None = None) -> None:
        self._config: Any = getattr(model, "config", None)
        names: dict[str, Any] = {}
        if labels and getattr(self._config, "num_labels", None) == len(labels):
            names = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
        if padding is not None and getattr(self._config, "pad_token_id", None) is None:
            names["pad_token_id"] = padding
        self._before = {name: getattr(self._config, name) for name in names}
        self._set(names)

    def give_back(self) -> None:
        """Restore the previous values."""
        self._set(self._before)

    def _set(self, values: dict[str, Any]) -> None:
        for name, value in values.items():
            setattr(self._config, name, value)
