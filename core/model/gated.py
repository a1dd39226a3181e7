"""A frozen backbone as a function of one vector of delta weights and one vector of gates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from core.model.attach import Attachment
from core.model.deltas.base import Weight
from core.model.layout import HEAD, Layout, Slot
from core.model.space import Placed
from core.tasks.randomness import generator


class GatedModel:
    """The backbone with the candidates attached to it.

    `weights` (one fp32 vector, see Layout) and `gates` (one value a candidate) are arguments of every pass; the object
    itself never changes. `head` names parameters of the backbone that are trained without a gate.
    """

    def __init__(self, backbone: nn.Module, placed: Sequence[Placed], head: Sequence[str] = ()) -> None:
        self.backbone = backbone
        self.placed = list(placed)
        self.head = list(head)
        parameter = next(backbone.parameters())
        self.device, self.dtype = parameter.device, parameter.dtype
        self._specs: dict[tuple[int, str], Weight] = {
            (i, name): weight for i, p in enumerate(placed) for name, weight in p.delta.weights(p.site).items()
        }
        slots = [Slot(i, name, w.shape, w.gated) for (i, name), w in self._specs.items()]
        self._head = {name: backbone.get_parameter(name) for name in head}
        slots += [Slot(HEAD, name, tuple(p.shape), gated=False) for name, p in self._head.items()]
        self.layout = Layout(slots, [p.delta.factor for p in placed], self.device)
        self._modules = _by_module(self.placed)
        self._attachments = {path: Attachment(backbone.get_submodule(path)) for path in self._modules}

    @property
    def parameters(self) -> list[int]:
        """What each candidate would train."""
        return [p.candidate.parameters for p in self.placed]

    def initial_weights(self, seed: int, original: bool = False) -> Tensor:
        """The weights at the start, fp32: each tensor a pure function of the seed, its candidate and its name.

        `original` starts adapters at random, as the paper's code does. A head starts as it was loaded.
        """
        parts = []
        for slot in self.layout.slots:
            if slot.owner == HEAD:
                parts.append(self._head[slot.name].detach().float().flatten())
                continue
            spec = self._specs[slot.owner, slot.name]
            init = spec.original if original and spec.original is not None else spec.init
            place = generator(seed, "init", self.placed[slot.owner].candidate.name, slot.name)
            parts.append(init(slot.shape, place).flatten().to(self.device))
        return torch.cat(parts) if parts else torch.zeros(0, device=self.device)

    def named(self, weights: Tensor) -> dict[str, Tensor]:
        """The tensors by name: `<module>/<delta>/<tensor>`, and the head's by their names in the backbone."""
        return {
            self._name(slot): tensor
            for slot, tensor in zip(self.layout.slots, self.layout.tensors(weights), strict=True)
        }

    def from_named(self, tensors: dict[str, Tensor]) -> Tensor:
        """The vector with these tensors; the opposite of `named`."""
        parts = [tensors[self._name(slot)].reshape(-1).float() for slot in self.layout.slots]
        return torch.cat(parts).to(self.device)

    def loss(self, weights: Tensor, gates: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """The mean loss of a batch with labels."""
        with self.bound(weights, gates):
            loss: Tensor = self.backbone(**batch).loss
        return loss

    @contextmanager
    def bound(self, weights: Tensor, gates: Tensor) -> Iterator[nn.Module]:
        """The backbone, which computes with these weights (size) and gates (candidates) inside the context."""
        self._bind(self.layout.scale(weights, gates))
        try:
            yield self.backbone
        finally:
            self._unbind()

    def detach(self) -> None:
        """Give the backbone back as it was before; the object cannot be used afterwards."""
        for attachment in self._attachments.values():
            attachment.detach()

    def _bind(self, scaled: Tensor) -> None:
        exact = self.layout.tensors(scaled)
        cast = exact if self.dtype == scaled.dtype else self.layout.tensors(scaled.to(self.dtype))
        tensors: list[dict[str, Tensor]] = [{} for _ in self.placed]
        for slot, fine, coarse in zip(self.layout.slots, exact, cast, strict=True):
            if slot.owner == HEAD:
                _set_parameter(self.backbone, slot.name, coarse)
            else:
                is_norm = self.placed[slot.owner].site.kind == "norm"
                tensors[slot.owner][slot.name] = fine if is_norm else coarse
        effects = [p.delta.effect(t) for p, t in zip(self.placed, tensors, strict=True)]
        for path, stages in self._modules.items():
            self._attachments[path].bind([[effects[i] for i in stage] for stage in stages])

    def _unbind(self) -> None:
        for attachment in self._attachments.values():
            attachment.unbind()
        for name, parameter in self._head.items():
            _set_parameter(self.backbone, name, parameter)

    def _name(self, slot: Slot) -> str:
        if slot.owner == HEAD:
            return slot.name
        candidate = self.placed[slot.owner].candidate
        return f"{candidate.module}/{candidate.delta}/{slot.name}"


def _by_module(placed: Sequence[Placed]) -> dict[str, list[list[int]]]:
    """For each module its stages, which are lists of candidates: the linear layer first, then the sub-layer."""
    modules: dict[str, dict[str, list[int]]] = {}
    for i, p in enumerate(placed):
        modules.setdefault(p.site.module, {}).setdefault(p.site.kind, []).append(i)
    order = ("linear", "norm", "block")
    return {path: [kinds[k] for k in order if k in kinds] for path, kinds in modules.items()}


def _set_parameter(model: nn.Module, name: str, tensor: Tensor) -> None:
    module, _, attribute = name.rpartition(".")
    model.get_submodule(module)._parameters[attribute] = tensor  # type: ignore[assignment]
