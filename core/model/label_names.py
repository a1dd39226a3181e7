"""Sets the class names in a model's configuration, so that its predictions have names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn


class LabelNames:
    """Class names set in a model until `give_back`; a model with another number of outputs keeps its own."""

    def __init__(self, model: nn.Module, labels: Sequence[str]) -> None:
        config: Any = getattr(model, "config", None)
        self._config = config if labels and getattr(config, "num_labels", None) == len(labels) else None
        if self._config is not None:
            self._before = (self._config.id2label, self._config.label2id)
            self._config.id2label = dict(enumerate(labels))
            self._config.label2id = {label: i for i, label in enumerate(labels)}

    def give_back(self) -> None:
        """Restore the previous names."""
        if self._config is not None:
            self._config.id2label, self._config.label2id = self._before
