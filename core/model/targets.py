"""The modules that a method of PEFT trains, and with which ranks it spends the budget on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from core.model.site import Site
from core.model.space import place
from core.run.errors import SpecError
from core.run.methods import Adapter
from core.run.selection import even_order, fill
from core.run.spaces import SpaceSpec
from core.run.structure import Candidate

LINEAR, NORMS = "attn.{q,v,qkv}", "norm.*"
# EVA hands out at most so many times the planned rank, AdaLoRA begins with so many times the final ones: the defaults
# of PEFT and of the papers.
MOST_OF_EVA, FIRST_OF_ADALORA = 2.0, 1.5


@dataclass(frozen=True)
class Target:
    """A module that is trained: `cost` is the parameters of a rank (of a norm: all of them), `rank` the planned one.

    Where PEFT hands ranks out, it ends with any from 0 to `most`.
    """

    site: Site
    cost: int
    rank: int
    most: int


@dataclass(frozen=True)
class Plan:
    """How an adapter spends the budget: its targets, and the sum of their ranks in the end."""

    adapter: Adapter
    targets: tuple[Target, ...]
    total: int

    @property
    def candidates(self) -> list[Candidate]:
        """Every (target, rank) that can be the result; the ranks of one target are alternatives."""
        return [candidate for target in self.targets for candidate in self._alternatives(target)]

    def _alternatives(self, target: Target) -> list[Candidate]:
        is_open = self.adapter.ranks == "pool"
        ranks = range(1, target.most + 1) if is_open else [target.rank]
        choice = f"{self.adapter.delta}(rank={list(ranks)})" if len(ranks) > 1 else ""
        return [self._candidate(target, rank, choice) for rank in ranks]

    def _candidate(self, target: Target, rank: int, choice: str) -> Candidate:
        delta = self.adapter.delta if self.adapter.ranks == "none" else f"{self.adapter.delta}(rank={rank})"
        site = target.site
        return Candidate(site.name, site.stack, site.layer, site.module, delta, rank * target.cost, choice)


def plan(adapter: Adapter, pattern: str | None, rank: int | None, budget: int, model: nn.Module) -> Plan:
    """The largest adapter within the budget (parameters) at the sites of a pattern, or at the default ones.

    `rank` is that of the settings, None for the largest one. Raises SpecError if no module is a target, or not one of
    them fits.
    """
    sites = _sites(adapter, pattern, model)
    costs = [_cost(adapter, site, model) for site in sites]
    if adapter.ranks == "pool":
        most = _highest(adapter, sites) * len(sites)
        total = min(budget // max(costs), most - 1 if adapter.allocates else most)
        ranks = _first_ranks(adapter, sites, total, rank) if total > 0 else []
        total = min(total, sum(ranks))
    else:
        ranks = _ranks(adapter, sites, costs, budget, rank)
        total = sum(ranks)
    if total <= 0:
        raise SpecError(
            f"the budget of {budget:,} parameters is below the smallest target of the adapter ({min(costs):,})",
            "raise it, or name other modules with peft.targets",
        )
    targets = [
        Target(site, cost, r, _most(adapter, r, max(ranks)))
        for site, cost, r in zip(sites, costs, ranks, strict=True)
        if r
    ]
    return Plan(adapter, tuple(targets), total)


def _sites(adapter: Adapter, pattern: str | None, model: nn.Module) -> list[Site]:
    is_norm = adapter.ranks == "none"
    pattern = pattern or (NORMS if is_norm else LINEAR)
    groups = ({pattern: ("lnfit" if is_norm else "lora(rank=1)",)},)
    return [placed.site for placed in place(SpaceSpec(name="peft.targets", groups=groups), model)]


def _cost(adapter: Adapter, site: Site, model: nn.Module) -> int:
    """The parameters of one rank: in + out, and a singular value where ranks have one; of a norm all it has."""
    if adapter.ranks == "none":
        return sum(p.numel() for p in model.get_submodule(site.module).parameters(recurse=False))
    return site.inputs + site.outputs + adapter.allocates


def _ranks(adapter: Adapter, sites: Sequence[Site], costs: Sequence[int], budget: int, rank: int | None) -> list[int]:
    """The ranks that fit, as even over targets and layers as they can be."""
    whole, highest = sum(costs), _highest(adapter, sites)
    base = min(budget // whole, highest) if rank is None else min(rank, highest)
    if base * whole <= budget:
        more = rank is None and base < highest and adapter.ranks == "each"
        chosen = _evenly(sites, costs, budget - base * whole) if more else set()
        return [base + (i in chosen) for i in range(len(sites))] if base or more else _ones(sites, costs, budget, 1)
    return _ones(sites, costs, budget, base)


def _ones(sites: Sequence[Site], costs: Sequence[int], budget: int, rank: int) -> list[int]:
    """This rank at as many targets as fit, evenly over the layers; 0 at the others."""
    chosen = _evenly(sites, [rank * cost for cost in costs], budget)
    return [rank * (i in chosen) for i in range(len(sites))]


def _evenly(sites: Sequence[Site], costs: Sequence[int], room: int) -> set[int]:
    return set(fill(even_order([(site.stack, site.layer) for site in sites]), costs, room))


def _highest(adapter: Adapter, sites: Sequence[Site]) -> int:
    """The largest rank that every target can have, before PEFT hands ranks out; SHiRA trains at most all weights."""
    if adapter.ranks == "none":
        return 1
    if adapter.ranks == "one":
        return min(s.inputs * s.outputs // (s.inputs + s.outputs) for s in sites)
    full = min(min(s.inputs, s.outputs) for s in sites)
    return full if adapter.ranks == "each" or adapter.allocates else max(1, int(full / MOST_OF_EVA))


def _first_ranks(adapter: Adapter, sites: Sequence[Site], total: int, rank: int | None) -> list[int]:
    """The ranks before PEFT hands them out; of AdaLoRA more than `total` altogether."""
    count, highest = len(sites), _highest(adapter, sites)
    if not adapter.allocates:
        base, more = (0, total) if total < count else divmod(total, count)
        chosen = set(even_order([(site.stack, site.layer) for site in sites])[:more])
        ranks = [min(highest, base + (i in chosen)) for i in range(count)]
        return ranks if rank is None else _ones(sites, [1] * count, total, min(rank, highest))
    first = rank or max(math.ceil(FIRST_OF_ADALORA * total / count), total // count + 1)
    if first * count <= total:
        raise SpecError(
            f"peft.rank = {first} leaves no rank to take away: the budget allows {total} at {count} targets",
            f"give at least {total // count + 1}, or lower the budget",
        )
    return [min(first, highest)] * count


def _most(adapter: Adapter, rank: int, highest: int) -> int:
    """The largest rank that a target can end with."""
    return rank if adapter.allocates else round(MOST_OF_EVA * highest)
