"""A found structure with its weights, on a model that somebody else has loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from core.model.deltafile import DeltaFile, read_delta
from core.model.gated import GatedModel
from core.model.label_names import LabelNames
from core.model.space import Placed, restore
from core.run.errors import ModelError
from core.run.structure import Candidate


class LoadedDelta:
    """A structure that a model computes with, until `detach` gives the model back as it was.

    `candidates` are what it is made of.
    """

    def __init__(
        self,
        model: nn.Module,
        placed: Sequence[Placed],
        deltas: Mapping[str, Tensor],
        own: Own,
        labels: Sequence[str] = (),
    ) -> None:
        self.candidates: tuple[Candidate, ...] = tuple(p.candidate for p in placed)
        self._own = own
        self._names = LabelNames(model, labels)
        self._gated = GatedModel(model, placed)
        with torch.no_grad():
            self._gated.bind(self._gated.from_named(deltas), torch.ones(len(placed), device=self._gated.device))

    def detach(self) -> None:
        """Take the deltas off, and give the head and the names of classes back that the model had."""
        self._gated.detach()
        self._own.give_back()
        self._names.give_back()


class Own:
    """Parameters of a model with other values, and what they were before."""

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
        """Let the parameters be what they were."""
        self._take(self._before)

    @torch.no_grad()
    def _take(self, tensors: Mapping[str, Tensor]) -> None:
        for name, tensor in tensors.items():
            self._parameters[name].copy_(tensor)


def load_delta(model: nn.Module, path: str | Path) -> LoadedDelta:
    """Let a model compute with the structure that a run has found and trained, and with the head it has trained.

    `path` is the directory of a run, or a folder of `s3tui export --to delta`. `model` is what the run started from, as
    transformers loads it: with `num_labels` outputs where it was a classifier, on the device where it will compute. Its
    classes get the names of the run, in `model.config.id2label`. The deltas are constants of fp32, added in the model's
    own precision; call `detach` before the model is saved or trained. Raises RunDirError where there is nothing to
    load, SpecError or ModelError where it is not of this model.
    """
    file = read_delta(path)
    placed = fitting(model, file)
    own = Own(model, file.own)
    try:
        return LoadedDelta(model, placed, file.deltas, own, file.labels)
    except BaseException:
        own.give_back()
        raise


def fitting(model: nn.Module, file: DeltaFile) -> list[Placed]:
    """The candidates of the file on the model; raises SpecError or ModelError where they are of another one."""
    placed = restore(file.candidates, model)
    for p in placed:
        prefix = f"{p.candidate.module}/{p.candidate.delta}"
        _check_shapes({f"{prefix}/{name}": w.shape for name, w in p.delta.weights(p.site).items()}, file.deltas)
    return placed


def _check_shapes(here: Mapping[str, tuple[int, ...]], tensors: Mapping[str, Tensor]) -> None:
    """Whether the tensors are those of a model of these shapes."""
    for name, shape in here.items():
        if name not in tensors:
            raise ModelError(f"the file lacks the tensor {name!r}", "it is damaged")
        found = tuple(tensors[name].shape)
        if found != shape:
            hint = f"load it with num_labels={found[0]}" if "/" not in name else "is it the model of the run?"
            raise ModelError(f"{name!r} is of shape {shape} in the model, and of {found} in the file", hint)
