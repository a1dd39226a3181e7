"""Loads structures of runs and files by name, and describes them; used by the app and the commands.

Computations on structures are in `core.run.structure` and `core.run.comparing`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.run.errors import RunDirError, S3Error, SpecError
from core.run.fields import Count
from core.run.rundir import RunDir, read_json, read_record
from core.run.structure import FORMAT, Candidate, Structure, read_structure


@dataclass(frozen=True)
class Named:
    """A structure with the name of its run or file.

    `backbone_parameters` is the size of the model, if known; `run` is the run's directory.
    """

    name: str
    structure: Structure
    backbone_parameters: int | None = None
    run: RunDir | None = None

    def budget(self, value: float) -> int:
        """A budget in parameters: a share of the model under 1, a count from 1 on, as in a suite."""
        if not 0 < value < math.inf or (value >= 1 and value != int(value)):
            raise SpecError(f"{value:g} is no budget", "give a share under 1, or a whole number of parameters")
        if value >= 1:
            return int(value)
        if self.backbone_parameters is None:
            raise SpecError(f"{self.name} does not contain the size of the model", "give the budget as a count")
        return int(value * self.backbone_parameters)


def of_run(directory: RunDir, name: str) -> Named:
    """The structure that a run has chosen; raises RunDirError if it has chosen none yet, or its file is damaged."""
    if directory.exists() and not directory.structure.exists():
        raise RunDirError(f"{name} has chosen no structure yet", "wait until its search is over")
    return Named(name, read_structure(directory.structure), _backbone_parameters(directory), directory)


def of_file(path: Path, like: Structure | None = None) -> Named:
    """Read a structure file of ours or of the paper's code; the latter has no parameter counts, taken from `like`."""
    data = read_json(path)
    if isinstance(data, dict) and data.get("format") == FORMAT:
        return Named(str(path), read_structure(path))
    if like is None:
        raise SpecError(
            f"{path} is a structure file of the paper's code, which contains neither model nor parameters",
            "name a run of the same model and space with --like",
        )
    return Named(str(path), from_original(path.name, data, like))


def is_original(path: Path) -> bool:
    """Whether a file is JSON that is not in our format, and so must be in that of the paper's code."""
    if not path.is_file():
        return False
    data = read_json(path)
    return not (isinstance(data, dict) and data.get("format") == FORMAT)


def find(references: Sequence[str], where: Path | None, like: str | None = None) -> list[Named]:
    """Load the structures of references: names of runs, patterns of names, run directories, and files.

    `where` is the argument of `--in`; the workspace is searched for only if a reference is not a path.
    """
    base = find([like], where)[0].structure if like is not None else None
    found: list[Named] = []
    for reference in references:
        path = Path(reference)
        if path.is_file():
            found.append(of_file(path, base))
        elif RunDir(path).exists():
            found.append(of_run(RunDir(path), reference))
        else:
            found += _in_workspace(reference, where)
    return found


def _in_workspace(reference: str, where: Path | None) -> list[Named]:
    from s3tui.runs.lookup import find_names, find_workspace

    if reference.endswith(".json"):
        raise SpecError(f"there is no file {reference}")
    workspace = find_workspace(where)
    return [of_run(workspace.run(name), name) for name in find_names([reference], workspace.names())]


def from_original(name: str, data: Any, like: Structure) -> Structure:
    """Convert a structure file of the paper's code into a choice among the candidates of another structure.

    Raises SpecError that names the first entry of the file that is not among the candidates.
    """
    from core.run.original import read_original
    from core.run.spaces import matches

    selected: set[int] = set()
    for group in read_original(name, data):
        for pattern, deltas in group.items():
            for delta in deltas:
                found = {
                    i
                    for i, c in enumerate(like.candidates)
                    if c.delta == delta and matches(pattern, c.site, c.label, c.module)
                }
                if not found:
                    raise SpecError(f"{name} has {delta} at {pattern!r}", "the structure given with --like has not")
                selected |= found
    p = tuple(float(i in selected) for i in range(len(like.candidates)))
    return replace(like, p=p, selected=tuple(sorted(selected)), budget=None)


@dataclass(frozen=True)
class _Size:
    """The size of the model in a result."""

    backbone_parameters: Count


def _backbone_parameters(directory: RunDir) -> int | None:
    """The size of a run's model: from its result, or before that from its `space` event."""
    from core.run.events import Space, read_events

    try:
        return read_record(directory.result, _Size).backbone_parameters
    except S3Error:
        spaces = [e for e in read_events(directory.events)[0] if isinstance(e, Space)]
        return spaces[-1].backbone_parameters if spaces else None


def delta_name(delta: str) -> str:
    """The name of a delta without its arguments: `lora(rank=1)` is `lora`."""
    return delta.partition("(")[0]


def place(candidate: Candidate) -> str:
    """The stack and layer of a candidate, as the paper writes them: `E.3`, `D.final`, `head`."""
    if not candidate.stack:
        return candidate.site
    return f"{candidate.stack[0].upper()}.{'final' if candidate.layer is None else candidate.layer}"


def places(candidates: Sequence[Candidate]) -> list[str]:
    """The columns of a map: encoder, then decoder, each from the first layer to the places after the last."""
    order = {
        place(c): ({"encoder": 0, "decoder": 1}.get(c.stack, 2), 10**6 if c.layer is None else c.layer)
        for c in candidates
    }
    return sorted(order, key=lambda name: order[name])


@dataclass(frozen=True)
class Cell:
    """One cell of a map: the mean p, and the share of structures in which the candidate is chosen."""

    p: float
    selected: float


@dataclass(frozen=True)
class Heatmap:
    """The map of a structure: rows are sites with deltas, columns are places; None if there is no candidate.

    p and selection are averaged over `runs` structures.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[tuple[Cell | None, ...], ...]
    runs: int = 1


def heatmap(structures: Sequence[Structure]) -> Heatmap:
    """The paper's heat map: p averaged over the structures, and how often each candidate is chosen.

    Rows are in the order of the space, with the deltas of a site together; columns are in the order of layers, the
    encoder before the decoder.
    """
    candidates = {c.name: c for s in structures for c in s.candidates}
    sites = list(dict.fromkeys(c.site for c in candidates.values()))
    labels = dict.fromkeys((sites.index(c.site), f"{c.site} {c.delta}") for c in candidates.values())
    rows = [label for _, label in sorted(labels, key=lambda pair: pair[0])]
    columns = places(list(candidates.values()))
    found: dict[tuple[str, str], list[tuple[float, bool]]] = {}
    for s in structures:
        chosen = set(s.selected)
        for i, c in enumerate(s.candidates):
            found.setdefault((f"{c.site} {c.delta}", place(c)), []).append((s.p[i], i in chosen))
    cells = tuple(tuple(_cell(found.get((row, column))) for column in columns) for row in rows)
    return Heatmap(tuple(rows), tuple(columns), cells, len(structures))


def _cell(values: list[tuple[float, bool]] | None) -> Cell | None:
    if not values:
        return None
    return Cell(sum(p for p, _ in values) / len(values), sum(chosen for _, chosen in values) / len(values))


def summary(structure: Structure) -> dict[str, Any]:
    """The distribution of a structure's candidates and parameters over deltas, sites and places."""
    return {
        "chosen": len(structure.selected),
        "candidates": len(structure.candidates),
        "parameters": structure.parameters,
        "budget": structure.budget,
        "by_delta": _shares(structure, lambda c: c.delta),
        "by_site": _shares(structure, lambda c: c.site),
        "by_place": _shares(structure, place),
    }


def _shares(structure: Structure, key: Callable[[Candidate], str]) -> dict[str, dict[str, int]]:
    """For each key: chosen, candidates, and parameters of the chosen."""
    chosen, total = Counter(map(key, structure.chosen)), Counter(map(key, structure.candidates))
    spent: Counter[str] = Counter()
    for c in structure.chosen:
        spent[key(c)] += c.parameters
    return {k: {"chosen": chosen[k], "candidates": n, "parameters": spent[k]} for k, n in total.items()}
