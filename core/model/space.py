"""Places a space on a model: its candidates are sites x deltas, in the order of the paper's code."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from core.model.deltas import Delta, Effect, make
from core.model.deltas.base import parameters
from core.model.site import Site
from core.model.sites import config_of, find_sites, module_paths
from core.model.sublayers import input_site, own_site, with_sublayers
from core.run.deltas import parse_delta
from core.run.errors import SpecError, nearest
from core.run.spaces import SpaceSpec, expand_braces, is_canonical, matches, no_site, resembling
from core.run.structure import Candidate


@dataclass(frozen=True)
class Placed:
    """A candidate with its site and its delta."""

    candidate: Candidate
    site: Site
    delta: Delta


def place(space: SpaceSpec, model: nn.Module) -> list[Placed]:
    """All candidates of the space on the model; raises SpecError for a pattern or delta that fits no site.

    Within a group, candidates follow the order of modules; a delta occurs at most once at a module.
    """
    placed: dict[tuple[str, str], Placed] = {}
    canonical = _all_sites(model)
    for group in space.groups:
        sites = _with_own(canonical, group, model)
        _check_fits(space.name, group, sites, model)
        for site in sites:
            for pattern, deltas in group.items():
                if matches(pattern, site.name, site.label, site.module):
                    for one in itertools.chain.from_iterable(_placed(site, text) for text in deltas):
                        placed.setdefault((site.module, one.candidate.delta), one)
    return list(placed.values())


def restore(candidates: tuple[Candidate, ...], model: nn.Module) -> list[Placed]:
    """Place the candidates of a structure file on a model of the same kind."""
    canonical = {(s.name, s.module): s for s in _all_sites(model)}
    paths = set(module_paths(model))
    result = []
    for c in candidates:
        if c.module not in paths:
            raise SpecError(f"the model has no module {c.module!r}", "is it the model that the structure is of?")
        site = canonical.get((c.site, c.module)) or own_site(model, c.module)
        result.append(Placed(c, site, make(parse_delta(c.delta))))
    return result


def weight_change(placed: Placed, tensors: Mapping[str, Tensor], factor: float) -> Effect | None:
    """The effect of trained tensors, named as in files, scaled by `factor`; None if it is no change of weights."""
    if placed.delta.acts_on != "module":
        return None
    prefix = f"{placed.candidate.module}/{placed.candidate.delta}/"
    weights = placed.delta.weights(placed.site)
    own = {name: tensors[prefix + name] * factor if w.gated else tensors[prefix + name] for name, w in weights.items()}
    effect = placed.delta.effect(own)
    return None if effect.parallel or effect.residual or effect.rows else effect


def _all_sites(model: nn.Module) -> list[Site]:
    """The canonical sites with their sub-layers, and the site `input`."""
    own = input_site(model)
    return with_sublayers(model, find_sites(model)) + ([own] if own else [])


def _placed(site: Site, text: str) -> Iterator[Placed]:
    """The candidates of a delta, or of several alternatives, at a site: none if it does not fit."""
    spec = parse_delta(text)
    choice = text if len(spec.alternatives) > 1 else ""
    for one in spec.alternatives:
        delta = make(one)
        if delta.fits(site):
            count = parameters(delta, site)
            yield Placed(
                Candidate(site.name, site.stack, site.layer, site.module, str(one), count, choice), site, delta
            )


def _with_own(canonical: list[Site], group: dict[str, tuple[str, ...]], model: nn.Module) -> list[Site]:
    """The canonical sites, and further modules that a pattern names by path, in the model's order."""
    by_module: dict[str, list[Site]] = {}
    for site in canonical:
        by_module.setdefault(site.module, []).append(site)
    # A bare `*` names canonical sites, and should not match every module.
    paths = [plain for pattern in group for plain in expand_braces(pattern) if not is_canonical(plain)]
    sites = []
    for path in module_paths(model):
        if path in by_module:
            sites += by_module[path]
        elif any(matches(plain, "", "", path) for plain in paths):
            sites.append(own_site(model, path))
    return sites


def _check_fits(space: str, group: dict[str, tuple[str, ...]], sites: list[Site], model: nn.Module) -> None:
    names = sorted({s.name for s in sites})
    for pattern, deltas in group.items():
        for plain in resembling(pattern):
            if not any(matches(plain, s.name, s.label, s.module) for s in sites):
                raise no_site(plain, config_of(model).model_type)
        here = [s for s in sites if matches(pattern, s.name, s.label, s.module)]
        if not here and not _absent_in_family(pattern):
            family = config_of(model).model_type
            raise SpecError(
                f"space {space!r}: no module of {family} is a {pattern!r}", _what_to_name(pattern, names, family)
            )
        for text in deltas:
            if here and not any(make(parse_delta(text)).fits(s) for s in here):
                hint = _what_is_there(make(parse_delta(text)), here[0])
                raise SpecError(f"space {space!r}: {text!r} cannot stand at {pattern!r}", hint)


def _what_to_name(pattern: str, names: list[str], family: str) -> str:
    """The hint for a pattern that matches nothing."""
    if not names:
        return f"name modules of {family} by their paths; s3tui sites lists them"
    if pattern == "input":
        return f"{family} cannot be given a soft prompt"
    if not any(name.startswith("ffn.") for name in names) and "ffn." in pattern:
        return f"the feed-forward layers of {family} are experts: name them by their paths, as in mlp.experts"
    return nearest(pattern, names)


def _what_is_there(delta: Delta, site: Site) -> str:
    """The hint why the delta does not fit the site."""
    if delta.acts_on == "attention" and site.kind == "block":
        return "nothing attends there that can be given further keys and values"
    return f"that is a {site.kind}"


def _absent_in_family(pattern: str) -> bool:
    """Whether a canonical pattern names sites that a family may lack, such as `head` on a classifier."""
    return pattern == "head"
