"""`python -m core.sites < REQUEST`: print the sites of a model and sizes of spaces on it, as JSON.

The network is built without weights, so any model takes only seconds. REQUEST is a JSON object: `model`, `spaces`, each
as `SpaceSpec` dumps it, `exportable`, which restricts them, and `head`, as a run has them. An error is printed as
`{"message": ..., "hint": ...}`; exit codes are those of `core.run.errors`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from torch import nn

from core.model.backbone import count_parameters, has_head, head_of, load_shape
from core.model.portable import obstacles, restricted
from core.model.site import Site
from core.model.sites import config_of, find_sites, module_paths, shared_layers, site_at
from core.model.space import place
from core.run.errors import EXIT_OK, S3Error
from core.run.spaces import SpaceSpec
from core.run.spec import Exportable
from core.run.structure import whole_space


def main() -> int:
    """Print the description of the model that stdin asks for; returns the exit code."""
    request = json.load(sys.stdin)
    try:
        spaces = [SpaceSpec.model_validate(space) for space in request["spaces"]]
        print(json.dumps(describe(request["model"], spaces, request["exportable"], request["head"])))
        return EXIT_OK
    except S3Error as error:
        print(json.dumps({"message": error.message, "hint": error.hint}))
        return error.exit_code


def describe(
    name: str, spaces: Sequence[SpaceSpec], exportable: Exportable = "any", with_head: bool = False
) -> dict[str, Any]:
    """The sites of a model, and the number and size of each space's candidates on it."""
    model, kind = load_shape(name, with_head)
    head = head_of(model) if has_head(kind, with_head) else ()
    backbone = count_parameters(model, head)
    return {
        "model": name,
        "family": config_of(model).model_type,
        "kind": kind,
        "parameters": backbone,
        "head_parameters": count_parameters(model) - backbone,
        "canonical": bool(find_sites(model)),
        "shared": shared_layers(config_of(model)),
        "sites": [asdict(site) | {"label": site.label} for site in sites_of(model)],
        "spaces": [candidates(space, model, exportable) for space in spaces],
    }


def sites_of(model: nn.Module) -> list[Site]:
    """The canonical sites; for an unknown family, the linear layers and norms, named by their paths."""
    paths = (site_at(model, path) for path in module_paths(model))
    return find_sites(model) or [site for site in paths if site.kind != "block"]


def candidates(space: SpaceSpec, model: nn.Module, exportable: Exportable = "any") -> dict[str, Any]:
    """How many candidates a space has on the model, and their parameters in total; or why it does not fit.

    `obstacles` are the deltas that an export in each format cannot hold.
    """
    try:
        placed = restricted(place(space, model), model, exportable, whole=False)
    except S3Error as error:
        none: dict[str, Any] = {"candidates": 0, "parameters": 0, "smallest": 0, "obstacles": {}}
        return {"name": space.name} | none | {"problem": error.message, "hint": error.hint}
    # At most one of the alternatives at a site is chosen.
    found = [p.candidate for p in placed]
    smallest = min((candidate.parameters for candidate in found), default=0)
    counted = {"candidates": len(found), "parameters": whole_space(found), "smallest": smallest}
    held = {"obstacles": obstacles(placed, model)}
    return {"name": space.name} | counted | held | {"problem": "", "hint": ""}


if __name__ == "__main__":
    sys.exit(main())
