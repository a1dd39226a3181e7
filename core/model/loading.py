"""Attaches the trained structure of a run to a model that the user has loaded with transformers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from core.model.deltafile import DeltaFile, read_delta
from core.model.gated import GatedModel
from core.model.head_config import HeadConfig
from core.model.space import Placed, restore
from core.run.errors import ModelError
from core.run.structure import Candidate


class LoadedDelta:
    """A structure attached to a model, until `detach` restores the model.

    `candidates` are the attached candidates.
    """

    def __init__(
        self,
        model: nn.Module,
        placed: Sequence[Placed],
        deltas: Mapping[str, Tensor],
        own: Own,
        config: HeadConfig,
    ) -> None:
        self.candidates: tuple[Candidate, ...] = tuple(p.candidate for p in placed)
        self._own, self._config = own, config
        self._gated = GatedModel(model, placed)
        with torch.no_grad():
            self._gated.bind(self._gated.from_named(deltas), torch.ones(len(placed), device=self._gated.device))

    def detach(self) -> None:
        """Remove the deltas, and restore the model's own head and the configuration of that."""
        self._gated.detach()
        self._own.give_back()
        self._config.give_back()


class Own:
    """Replaced parameters of a model, with their previous values."""

    def __init__(self, model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
        parameters = dict(model.named_parameters())
        missing = [name for name in tensors if name not in parameters]
        if missing:
            hint = "load the model with the head that the run had: AutoModelForSequenceClassification"
            raise ModelError(f"the model has no parameter {missing[0]!r}", hint)
        _check_shapes({name: tuple(parameters[name].shape) for name in tensors}, tensors)
        self._parameters = {name: parameters[name] for name in tensors}
        self._before = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}
        self._take(tensors)

    def give_back(self) -> None:
        """Restore the previous values."""
        self._take(self._before)

    @torch.no_grad()
    def _take(self, tensors: Mapping[str, Tensor]) -> None:
        for name, tensor in tensors.items():
            self._parameters[name].copy_(tensor)


def load_delta(model: nn.Module, path: str | Path) -> LoadedDelta:
    """Attach the structure and the head that a run has trained to a model.

    `path` is a run directory or a folder written by `s3tui export --to delta`. `model` is the base model of the run as
    loaded by transformers: for a classifier with the same `num_labels`, on the device on which it will compute. The
    class names of the run are set in `model.config.id2label`, and for the head of a decoder the token of padding, if
    the model has none. The deltas are fp32 constants, added in the model's own precision; call `detach` before saving
    or training the model. Raises RunDirError if there is nothing to load, SpecError or ModelError if it does not fit
    the model.
    """
    file = read_delta(path)
    placed = fitting(model, file)
    own, config = Own(model, file.own), HeadConfig(model, file.labels, file.reading.padding)
    try:
        return LoadedDelta(model, placed, file.deltas, own, config)
    except BaseException:
        own.give_back()
        config.give_back()
        raise


def fitting(model: nn.Module, file: DeltaFile) -> list[Placed]:
    """The candidates of the file placed on the model; raises SpecError or ModelError if they do not fit it."""
    if file.adapter is not None:
        hint = "write it with s3tui export RUN --to peft, and load that with PeftModel.from_pretrained"
        raise ModelError("the run has trained an adapter of PEFT, which PEFT loads", hint)
    placed = restore(file.candidates, model)
    for p in placed:
        prefix = f"{p.candidate.module}/{p.candidate.delta}"
        _check_shapes({f"{prefix}/{name}": w.shape for name, w in p.delta.weights(p.site).items()}, file.deltas)
    return placed


def _check_shapes(here: Mapping[str, tuple[int, ...]], tensors: Mapping[str, Tensor]) -> None:
    """Raise ModelError unless the tensors have these names and shapes."""
    for name, shape in here.items():
        if name not in tensors:
            raise ModelError(f"the file lacks the tensor {name!r}", "it is damaged")
        found = tuple(tensors[name].shape)
        if found != shape:
            hint = f"load it with num_labels={found[0]}" if "/" not in name else "is it the model of the run?"
            raise ModelError(f"{name!r} is of shape {shape} in the model, and of {found} in the file", hint)
