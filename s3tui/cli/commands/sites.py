"""The command `sites`; the work is done by a child process of `core`, so nothing heavy is imported here."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from core.run.errors import EXIT_OK, UsageError
from core.run.spaces import LIBRARY, SpaceSpec, library_space
from s3tui.suite.model_sites import Found, examine
from s3tui.text.columns import print_aligned
from s3tui.text.sanitize import clean


def sites(model: str, space: str | None, trust: bool, as_json: bool) -> int:
    """Print the sites of a model, and the number of candidates of spaces on it: of the library, or given ones."""
    spaces = _spaces(space) if space else [library_space(name) for name in LIBRARY if LIBRARY[name]]
    found = examine(model, spaces, trust=trust)
    for one in found["spaces"]:
        if space and one["problem"]:
            raise UsageError(one["problem"], one["hint"])
    if as_json:
        print(json.dumps(found, indent=1))
    else:
        _print(found)
    return EXIT_OK


def _spaces(name: str) -> list[SpaceSpec]:
    """The space of a name or a structure file, or all spaces of a suite."""
    from s3tui.runs.workspace import Workspace
    from s3tui.structures.run_reference import References
    from s3tui.suite.resolve_names import Resolver

    if name.endswith(".toml"):
        return _own_spaces(Path(name))
    problems: list[str] = []
    references = References(Workspace(Path.cwd()), "", ())
    resolved = Resolver(Path.cwd(), {}, references)({"space": name}, lambda loc, message: problems.append(message))
    if problems:
        raise UsageError("\n".join(problems))
    space: SpaceSpec = resolved["space"]
    return [space]


def _own_spaces(file: Path) -> list[SpaceSpec]:
    from s3tui.suite.resolve_names import own_spaces
    from s3tui.text.problems import Problems
    from s3tui.text.toml_file import read_toml

    problems = Problems(str(file))
    tables = read_toml(file).get("space", {})
    if not isinstance(tables, dict):
        problems.add(("space",), "should be a table")
        tables = {}
    spaces = own_spaces(tables, problems)
    problems.raise_any()
    if not spaces:
        raise UsageError(f"{file} has no space of its own", "name one of the library, or add a [space.NAME]")
    return list(spaces.values())


def _print(found: Found) -> None:
    head = f" and a new head of {found['head_parameters']:,}" if found["head_parameters"] else ""
    article = "an" if found["kind"].startswith("e") else "a"
    kind = f"{found['family']}, {article} {found['kind']}"
    print(f"{clean(found['model'])}: {kind} of {found['parameters']:,} parameters{head}")
    if not found["canonical"]:
        print("This family has no canonical names yet: name modules by their paths in a space.")
    if found["shared"] > 1:
        print(f"{found['shared']} layers share the modules of each site: a delta there acts in all of them.")
    print()
    print_aligned([["site", "where", "modules", "features", "module"], *_site_rows(found["sites"])])
    print()
    print_aligned(
        [
            ["space", "candidates", "parameters", "of the model"],
            *(_space_row(one, found["parameters"]) for one in found["spaces"]),
        ]
    )


def _site_rows(sites: Sequence[Found]) -> list[list[str]]:
    """One row for all sites that differ only in the layer, in the order of the first of each."""
    kinds: dict[tuple[str, ...], list[Found]] = {}
    for site in sites:
        path = re.sub(r"(?<=\.)\d+(?=\.|$)", "*", site["module"], count=1)
        shape = f"{site['inputs']} -> {site['outputs']}" if site["kind"] == "linear" else str(site["outputs"])
        kinds.setdefault((site["name"], site["stack"], shape, path), []).append(site)
    return [
        ["" if name == path else name, _place(stack, rows), str(len(rows)), shape, path]
        for (name, stack, shape, path), rows in kinds.items()
    ]


def _place(stack: str, sites: Sequence[Found]) -> str:
    """`E0-5,7` for layers of the encoder, `E` for sites outside the layers."""
    layers = sorted(site["layer"] for site in sites if site["layer"] is not None)
    runs = [list(run) for _, run in groupby(enumerate(layers), lambda pair: pair[1] - pair[0])]
    spans = [(run[0][1], run[-1][1]) for run in runs]
    return stack[:1].upper() + ",".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)


def _space_row(space: Found, backbone: int) -> list[str]:
    if space["problem"]:
        return [space["name"], "-", "-", space["problem"].partition(": ")[2]]
    share = f"{space['parameters'] / backbone:.4%}"
    return [space["name"], f"{space['candidates']:,}", f"{space['parameters']:,}", share]
