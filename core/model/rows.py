"""What attentions and encoders read beside the text: prefixes and soft prompts, bound for the time of a pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import nn

from core.model.attention import Further, Route, give
from core.model.deltas.base import Effect, Rows
from core.model.pools import Pool
from core.model.prompts import PromptAttachment
from core.model.sites import config_of, find_sites
from core.model.sublayers import DECODERS, attention_modules


class RowsAttachment:
    """All prefixes and soft prompts of a backbone."""

    def __init__(self, backbone: nn.Module, pools: Sequence[Pool]) -> None:
        self._prefixes = _by_module(backbone, [p for p in pools if p.largest.delta.acts_on == "attention"])
        self._prompts = [p.owner for p in pools if p.largest.delta.acts_on == "stack"]
        self._stack: PromptAttachment | None = None
        self._readers: list[nn.Module] = []
        if self._prompts:
            decoder = DECODERS.get(config_of(backbone).model_type)
            stack = backbone.get_submodule(next(p for p in pools if p.owner == self._prompts[0]).largest.site.module)
            self._stack = PromptAttachment(stack, backbone.get_submodule(decoder) if decoder else None)
            sites = find_sites(backbone)
            paths = attention_modules(sites, "attn", "encoder") + attention_modules(sites, "cross", "decoder")
            self._readers = [backbone.get_submodule(path) for path in paths]
        self._modules = list(dict.fromkeys([*self._prefixes, *self._readers]))
        self._route = Route(self._modules)

    def bind(self, effects: Mapping[int, Sequence[Effect]]) -> None:
        """Let the modules read the rows of these effects from now on."""
        given = {module: _together(_rows(effects, owners)) for module, owners in self._prefixes.items()}
        if self._stack is not None:
            rows = _rows(effects, self._prompts)
            leading = self._stack.bind([r.keys for r in rows], [r.gates for r in rows])
            for module in self._readers:
                given[module] = replace(given.get(module, Further()), leading=leading)
        for module, further in given.items():
            give(module, further)

    def unbind(self) -> None:
        """Let the modules read the text alone."""
        for module in self._modules:
            give(module, None)
        if self._stack is not None:
            self._stack.unbind()

    def detach(self) -> None:
        """Give the backbone back as it was."""
        self.unbind()
        self._route.back()
        if self._stack is not None:
            self._stack.detach()


def _by_module(backbone: nn.Module, pools: Sequence[Pool]) -> dict[nn.Module, list[int]]:
    """The modules that attend, each with the owners of its prefixes."""
    modules: dict[nn.Module, list[int]] = {}
    for pool in pools:
        sublayer = pool.largest.site.sublayer
        assert sublayer is not None
        assert sublayer.attention is not None
        modules.setdefault(backbone.get_submodule(sublayer.attention.module), []).append(pool.owner)
    return modules


def _rows(effects: Mapping[int, Sequence[Effect]], owners: Sequence[int]) -> list[Rows]:
    return [effect.rows for owner in owners for effect in effects[owner] if effect.rows is not None]


def _together(rows: Sequence[Rows]) -> Further:
    """Several prefixes of one attention, one after the other."""
    return Further(
        keys=torch.cat([r.keys for r in rows]),
        values=torch.cat([r.values for r in rows if r.values is not None]),
        gates=torch.cat([r.gates for r in rows]),
    )
