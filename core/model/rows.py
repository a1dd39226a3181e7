"""Attaches prefixes and soft prompts: rows (keys and values, or vectors) that a network reads besides the text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import nn

from core.model.attention import Further, Route, give
from core.model.decoder_prompts import DecoderPromptAttachment
from core.model.deltas.base import Effect, Rows
from core.model.pools import Pool
from core.model.prompts import PromptAttachment
from core.model.sites import config_of, find_sites
from core.model.sublayers import DECODERS, attention_modules
from core.run.errors import SpecError


class RowsAttachment:
    """All prefixes and soft prompts of a backbone."""

    def __init__(self, backbone: nn.Module, pools: Sequence[Pool]) -> None:
        self._prefixes = _by_module(backbone, [p for p in pools if p.largest.delta.acts_on == "attention"])
        prompts = [p for p in pools if p.largest.delta.acts_on == "stack"]
        self._prompts = [p.owner for p in prompts]
        self._readers: list[nn.Module] = []
        self._stack: PromptAttachment | DecoderPromptAttachment | None = None
        if prompts:
            _check_positions(backbone, prompts)
            self._readers, self._stack = _prompted(backbone, prompts[0])
        self._modules = list(dict.fromkeys([*self._prefixes, *self._readers]))
        self._route = Route(self._modules)

    def bind(self, effects: Mapping[int, Sequence[Effect]]) -> None:
        """Make the modules read the rows of these effects from now on."""
        given = {module: _together(_rows(effects, owners)) for module, owners in self._prefixes.items()}
        if self._stack is not None:
            rows = _rows(effects, self._prompts)
            gates = [r.gates for r in rows]
            self._stack.bind([r.keys for r in rows], gates)
            if isinstance(self._stack, PromptAttachment):
                prompt = torch.cat(gates)
                for module in self._readers:
                    given[module] = replace(given.get(module, Further()), prompt=prompt)
        for module, further in given.items():
            give(module, further)

    def unbind(self) -> None:
        """Make the modules read the text alone."""
        for module in self._modules:
            give(module, None)
        if self._stack is not None:
            self._stack.unbind()

    def detach(self) -> None:
        """Restore the backbone."""
        self.unbind()
        self._route.back()
        if self._stack is not None:
            self._stack.detach()


def _check_positions(backbone: nn.Module, pools: Sequence[Pool]) -> None:
    """Raise an error if a soft prompt takes all positions of a network with a table of positions."""
    config = config_of(backbone)
    tables = {"gpt2": "n_positions", "bart": "max_position_embeddings", "opt": "max_position_embeddings"}
    name = tables.get(config.model_type, "")
    positions = getattr(config, name, None)
    length = sum(pool.weights["prompt"].shape[0] for pool in pools)
    if positions is not None and length >= positions:
        raise SpecError(
            f"a soft prompt of {length} leaves a text none of the model's {positions} positions", "shorten it"
        )


def _prompted(backbone: nn.Module, pool: Pool) -> tuple[list[nn.Module], PromptAttachment | DecoderPromptAttachment]:
    """The modules that attend to a soft prompt, and the attachment of the stack that reads it."""
    site, sites = pool.largest.site, find_sites(backbone)
    stack = backbone.get_submodule(site.module)
    paths = attention_modules(sites, "attn", site.stack)
    if site.stack == "decoder":
        readers = [backbone.get_submodule(path) for path in paths]
        return readers, DecoderPromptAttachment(stack, readers)
    decoder = DECODERS.get(config_of(backbone).model_type)
    paths += attention_modules(sites, "cross", "decoder") if decoder else []
    attachment = PromptAttachment(stack, backbone.get_submodule(decoder) if decoder else None)
    return [backbone.get_submodule(path) for path in paths], attachment


def _by_module(backbone: nn.Module, pools: Sequence[Pool]) -> dict[nn.Module, list[int]]:
    """The attention modules, each with the owners of its prefixes."""
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
    """The concatenation of several prefixes of one attention module."""
    return Further(
        keys=torch.cat([r.keys for r in rows]),
        values=torch.cat([r.values for r in rows if r.values is not None]),
        gates=torch.cat([r.gates for r in rows]),
    )
