"""The names of the classes in the configuration of a model, so that its predictions have names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn


class LabelNames:
    """Names in the place of those that a model has, until `give_back`; a model of other outputs keeps its own."""

    def __init__(self, model: nn.Module, labels: Sequence[str]) -> None:
        config: Any = getattr(model, "config", None)
        self._config = config if labels and getattr(config, "num_labels", None) == len(labels) else None
        if self._config is not None:
            self._before = (self._config.id2label, self._config.label2id)
            self._config.id2label = dict(enumerate(labels))
            self._config.label2id = {label: i for i, label in enumerate(labels)}

    def give_back(self) -> None:
        """Let the names be what they were."""
        if self._config is not None:
            self._config.id2label, self._config.label2id = self._before
