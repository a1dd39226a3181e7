"""The gated model: a frozen backbone as a function of a vector of delta weights and a vector of gates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from core.model.attach import Attachment
from core.model.layout import HEAD, Layout, Slot
from core.model.pools import Pool, pools_of
from core.model.rows import RowsAttachment
from core.model.space import Placed
from core.run.structure import choices_of
from core.tasks.randomness import generator


class GatedModel:
    """The backbone with all candidates attached.

    `weights` (one fp32 vector, see Layout) and `gates` (one value per candidate) are arguments of every pass; the
    object itself has no trainable state. `head` names parameters of the backbone that are trained without a gate.
    """

    def __init__(self, backbone: nn.Module, placed: Sequence[Placed], head: Sequence[str] = ()) -> None:
        self.backbone = backbone
        self.placed = list(placed)
        self.head = list(head)
        parameter = next(backbone.parameters())
        self.device, self.dtype = parameter.device, parameter.dtype
        self._pools = {pool.owner: pool for pool in pools_of(placed)}
        slots = [slot for pool in self._pools.values() for slot in pool.slots()]
        self._head = {name: backbone.get_parameter(name) for name in head}
        slots += [Slot(HEAD, name, tuple(p.shape)) for name, p in self._head.items()]
        self.layout = Layout(slots, [p.delta.factor for p in placed], self.device)
        self._modules = _by_module(self._pools)
        self._attachments = {
            path: Attachment(backbone.get_submodule(path), _entry(backbone, self._pools, stages))
            for path, stages in self._modules.items()
        }
        self._rows = RowsAttachment(backbone, [p for p in self._pools.values() if p.largest.delta.acts_on != "module"])

    @property
    def parameters(self) -> list[int]:
        """The number of parameters of each candidate."""
        return [p.candidate.parameters for p in self.placed]

    @property
    def choices(self) -> list[int]:
        """For each candidate the number of its first alternative, with which it shares weights, or its own number."""
        return choices_of([p.candidate for p in self.placed])

    def initial_weights(self, seed: int, original: bool = False) -> Tensor:
        """The initial weights (fp32): each tensor is a pure function of the seed, its candidate and its name.

        `original` initialises adapters at random, as the paper's code does. A head keeps its loaded values.
        """
        parts = []
        for slot in self.layout.slots:
            if slot.owner == HEAD:
                parts.append(self._head[slot.name].detach().float().flatten())
                continue
            spec = self._pools[slot.owner].weights[slot.name]
            init = spec.original if original and spec.original is not None else spec.init
            place = generator(seed, "init", self.placed[slot.owner].candidate.name, slot.name)
            parts.append(slot.flat(init(slot.shape, place)).to(self.device))
        return torch.cat(parts) if parts else torch.zeros(0, device=self.device)

    def balanced(self) -> Tensor:
        """How many times the learning rate each weight moves with, so that all deltas step alike (size, fp32).

        See `core.model.deltas.balance`. A head moves with the learning rate.
        """
        return self._by_slot(lambda slot: self._pools[slot.owner].rates(slot) if slot.owner != HEAD else [1.0])

    def of_head(self) -> Tensor:
        """Whether each weight is one of the head's (size)."""
        return self._by_slot(lambda slot: [slot.owner == HEAD]).bool()

    def _by_slot(self, values: Callable[[Slot], Sequence[float]]) -> Tensor:
        """A vector as the weights (size), with the values of each slot in parts of equal length."""
        rows = [(float(v), slot.size // len(of)) for slot in self.layout.slots for of in [values(slot)] for v in of]
        if not rows:
            return torch.zeros(0, device=self.device)
        numbers, lengths = map(torch.tensor, zip(*rows, strict=True))
        return numbers.repeat_interleave(lengths).to(self.device)

    def named(self, weights: Tensor) -> dict[str, Tensor]:
        """The tensors by name: `<module>/<delta>/<tensor>`, and the head's by their names in the backbone.

        Alternatives share the tensors under the name of their choice.
        """
        return {
            self._name(slot): tensor
            for slot, tensor in zip(self.layout.slots, self.layout.tensors(weights), strict=True)
        }

    def tensors_of(self, weights: Tensor, selected: Iterable[int]) -> dict[str, Tensor]:
        """The tensors of these candidates and of the head, named as `named` of a model of these candidates has them."""
        by_owner: dict[int, dict[str, Tensor]] = {}
        for slot, tensor in zip(self.layout.slots, self.layout.tensors(weights), strict=True):
            by_owner.setdefault(slot.owner, {})[slot.name] = tensor
        found = by_owner.pop(HEAD, {})
        pools = {number: pool for pool in self._pools.values() for number in pool.numbers}
        for number in selected:
            found |= pools[number].own_tensors(number, by_owner[pools[number].owner])
        return found

    def from_named(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """The vector of these tensors; the inverse of `named`."""
        parts = [slot.flat(tensors[self._name(slot)]).float() for slot in self.layout.slots]
        return torch.cat(parts).to(self.device) if parts else torch.zeros(0, device=self.device)

    @contextmanager
    def bound(self, weights: Tensor, gates: Tensor) -> Iterator[nn.Module]:
        """A context in which the backbone computes with these weights (size) and gates (candidates)."""
        self.bind(weights, gates)
        try:
            yield self.backbone
        finally:
            self._unbind()

    def bind(self, weights: Tensor, gates: Tensor) -> None:
        """Make the backbone compute with these weights and gates until `detach`."""
        self._bind(self.layout.scale(weights, gates), gates)

    def detach(self) -> None:
        """Restore the backbone; the object cannot be used afterwards."""
        for attachment in self._attachments.values():
            attachment.detach()
        self._rows.detach()

    def _bind(self, scaled: list[Tensor], gates: Tensor) -> None:
        exact = self.layout.tensors(*scaled)
        cast = (
            exact if self.dtype == torch.float32 else self.layout.tensors(*(block.to(self.dtype) for block in scaled))
        )
        tensors: dict[int, dict[str, Tensor]] = {owner: {} for owner in self._pools}
        for slot, fine, coarse in zip(self.layout.slots, exact, cast, strict=True):
            if slot.owner == HEAD:
                _set_parameter(self.backbone, slot.name, coarse)
            else:
                is_norm = self.placed[slot.owner].site.kind == "norm"
                tensors[slot.owner][slot.name] = fine if is_norm else coarse
        effects = {owner: pool.effects(tensors[owner], gates) for owner, pool in self._pools.items()}
        for path, stages in self._modules.items():
            self._attachments[path].bind([[e for owner in stage for e in effects[owner]] for stage in stages])
        self._rows.bind(effects)

    def _unbind(self) -> None:
        for attachment in self._attachments.values():
            attachment.unbind()
        self._rows.unbind()
        for name, parameter in self._head.items():
            _set_parameter(self.backbone, name, parameter)

    def _name(self, slot: Slot) -> str:
        if slot.owner == HEAD:
            return slot.name
        return f"{self._pools[slot.owner].name}/{slot.name}"


def _by_module(pools: Mapping[int, Pool]) -> dict[str, list[list[int]]]:
    """For each module its stages, as lists of pools: the linear layer first, then the sub-layer."""
    modules: dict[str, dict[str, list[int]]] = {}
    for owner, pool in pools.items():
        if pool.largest.delta.acts_on == "module":
            site = pool.largest.site
            modules.setdefault(site.module, {}).setdefault(site.kind, []).append(owner)
    order = ("linear", "norm", "block")
    return {path: [kinds[k] for k in order if k in kinds] for path, kinds in modules.items()}


def _entry(backbone: nn.Module, pools: Mapping[int, Pool], stages: list[list[int]]) -> nn.Module | None:
    """The module that reads the input of the sub-layer that ends at this module, if known."""
    sites = (pools[owner].largest.site for stage in stages for owner in stage)
    entries = [site.sublayer.entry for site in sites if site.sublayer is not None and site.sublayer.entry]
    return backbone.get_submodule(entries[0]) if entries else None


def _set_parameter(model: nn.Module, name: str, tensor: Tensor) -> None:
    module, _, attribute = name.rpartition(".")
    model.get_submodule(module)._parameters[attribute] = tensor  # type: ignore[assignment]
