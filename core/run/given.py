"""A given structure, as the space of a run of method `given`: exactly its candidates, in their order.

Candidates outside canonical sites are named by the path of their module. While the run that is to find the structure
has not finished, the space holds only the name of that run; the candidates are filled in before the worker starts.
"""

from __future__ import annotations

import itertools

from core.run.errors import SpecError
from core.run.methods import method_of
from core.run.spaces import SITES, SpaceSpec
from core.run.spec import RunSpec
from core.run.structure import RUN, Candidate, Structure


def given_space(name: str, structure: Structure) -> SpaceSpec:
    """The space of exactly the chosen candidates of a structure; raises SpecError if it chooses none."""
    if not structure.selected:
        raise SpecError(f"the structure of {name} chooses nothing", "take one that trains something")
    sites = itertools.groupby(structure.chosen, key=_site)
    return SpaceSpec(name=name, groups=tuple({site: tuple(c.delta for c in chosen)} for site, chosen in sites))


def _site(candidate: Candidate) -> str:
    return candidate.label if candidate.site in SITES else candidate.module


def awaited_space(run: str) -> SpaceSpec:
    """A placeholder for the structure that another run will find."""
    return SpaceSpec(name=f"{RUN}{run}", groups=())


def awaited(spec: RunSpec) -> str | None:
    """The name of the run whose structure is not filled in yet; None if the settings are complete."""
    waits = is_given(spec) and not spec.space.groups and spec.space.name.startswith(RUN)
    return spec.space.name.removeprefix(RUN) if waits else None


def is_given(spec: RunSpec) -> bool:
    """Whether the structure of a run is given by a file or by another run."""
    return method_of(spec.method).is_given
