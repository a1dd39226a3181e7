"""The commands about structures: show, diff, mean, agreement, draw, reselect, convert."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.run.comparing import Agreement, agreement, difference, drawn_like
from core.run.errors import EXIT_OK, UsageError, nearest
from core.run.original import to_original
from core.run.rundir import json_bytes
from core.run.selection import BY_NETWORK, BY_P, mean
from core.run.structure import Candidate, Structure
from s3tui.cli.diagnostics import PIPE_WIDTH, say
from s3tui.structures.load import Heatmap, Named, find, heatmap, is_original, summary
from s3tui.structures.text_map import map_lines
from s3tui.system.output_file import write_output
from s3tui.text.columns import print_aligned
from s3tui.text.sanitize import clean
from s3tui.text.units import count

SHOWN = 20  # candidates in a list; --json has all
NUMBERED = 10  # most structures for which a table of pairs is printed


def show(which: str, like: str | None, where: Path | None, as_json: bool) -> int:
    """Print what a structure trains."""
    named = _one(which, where, like)
    if as_json:
        chosen = [_described(named.structure, i) for i in named.structure.selected]
        about = {"name": named.name, "model": named.structure.model}
        print(json.dumps(about | summary(named.structure) | {"chosen_candidates": chosen}, indent=1))
        return EXIT_OK
    _print(named.name, named.structure)
    return EXIT_OK


def _one(reference: str, where: Path | None, like: str | None = None) -> Named:
    """The structure of a reference; raises UsageError if it matches several runs."""
    found = find([reference], where, like)
    if len(found) > 1:
        names = ", ".join(named.name for named in found[:NUMBERED])
        more = f" and {len(found) - NUMBERED} more" if len(found) > NUMBERED else ""
        raise UsageError(f"{reference!r} matches {len(found)} runs: {names}{more}", "name one of them")
    return found[0]


def _described(structure: Structure, i: int) -> dict[str, Any]:
    candidate = structure.candidates[i]
    return {"name": candidate.name} | asdict(candidate) | {"p": structure.p[i]}


def diff(a: str, b: str, like: str | None, where: Path | None, as_json: bool) -> int:
    """Print the difference of two structures."""
    one, other = _one(a, where, like), _one(b, where, like)
    found = difference(one.structure, other.structure)
    if as_json:
        sides = {
            key: {"name": n.name, "chosen": len(n.structure.selected), "parameters": n.structure.parameters}
            for key, n in (("a", one), ("b", other))
        }
        lists = {key: [c.name for c in getattr(found, key)] for key in ("only_a", "only_b", "both")}
        print(json.dumps(sides | {"jaccard": found.jaccard} | lists, indent=1))
        return EXIT_OK
    for key, named, only in (("A", one, found.only_a), ("B", other, found.only_b)):
        print(clean(f"{key}  {_headline(named.name, named.structure)}"))
        print(f"   only in {key}: {_sum(only)}")
        _print_candidates(only)
    print(f"in both: {_sum(found.both)}")
    _print_candidates(found.both)
    print(f"Jaccard: {found.jaccard:.3f}")
    return EXIT_OK


def _sum(candidates: Sequence[Candidate]) -> str:
    many = "candidate" if len(candidates) == 1 else "candidates"
    return f"{len(candidates)} {many}, {count(sum(c.parameters for c in candidates))} parameters"


def _print_candidates(candidates: Sequence[Candidate]) -> None:
    rows = [["", "", c.label, c.delta, count(c.parameters)] for c in candidates[:SHOWN]]
    if rows:
        print_aligned(rows)
    if len(candidates) > SHOWN:
        print(f"    and {len(candidates) - SHOWN} more")


def mean_of(
    which: Sequence[str], budget: float | None, how: str, output: Path | None, where: Path | None, as_json: bool
) -> int:
    """Average structures, or take a single one, and select again under a budget."""
    if how in BY_NETWORK:
        raise UsageError(
            f"--selection {how} needs the trained network, which a run asks after its search",
            "select by p, with first-fit or knapsack; structure show RUN prints what the run itself chose",
        )
    if how not in BY_P:
        raise UsageError(f"no rule of selection is called {how!r}", nearest(how, BY_P))
    found = find(which, where)
    first = found[0]
    if len(found) == 1 and set(first.structure.p) <= {0.0, 1.0}:
        raise UsageError(f"{first.name} was not searched: it has no probabilities to select by", "name a search")
    limit = first.structure.budget if budget is None else first.budget(budget)
    if limit is None:
        raise UsageError(f"{first.name} has no budget", "give one with --budget")
    made = mean([named.structure for named in found], limit, how)
    names = ", ".join(named.name for named in found)
    return _give(names if len(found) == 1 else f"mean of {len(found)} ({names})", made, output, as_json)


def draw(like: str, seed: int, output: Path | None, where: Path | None, as_json: bool) -> int:
    """Make a random structure."""
    named = _one(like, where)
    return _give(f"random like {named.name}, seed {seed}", drawn_like(named.structure, seed), output, as_json)


def convert(which: str, like: str | None, output: Path | None, where: Path | None, as_json: bool) -> int:
    """Convert to the format of the paper's code, or from it."""
    named = _one(which, where, like)
    theirs = is_original(Path(which))
    return _write(named.structure.to_json() if theirs else to_original(named.structure), output, True)


def _give(name: str, structure: Structure, output: Path | None, as_json: bool) -> int:
    """Output a new structure: into a file, as JSON, or as a description."""
    if output is None and not as_json:
        _print(name, structure)
        return EXIT_OK
    return _write(structure.to_json(), output, as_json)


def _write(data: Any, output: Path | None, as_json: bool) -> int:
    if output is not None:
        write_output(output, json_bytes(data))
        say(f"wrote {output}")
    if output is None or as_json:
        print(json.dumps(data, indent=1))
    return EXIT_OK


def agree(which: Sequence[str], where: Path | None, as_json: bool) -> int:
    """Print how far structures agree."""
    structures = find(which, where)
    if len(structures) < 2:
        raise UsageError("agreement needs two or more structures", "name them, as in 'searched/*'")
    agreed = agreement([named.structure for named in structures])
    names = [named.name for named in structures]
    if as_json:
        frequency = [{"name": c.name, "parameters": c.parameters, "share": share} for c, share in agreed.frequency]
        numbers = {"overlap": agreed.overlap, "interval": agreed.interval, "by_chance": agreed.by_chance}
        print(json.dumps({"structures": names} | numbers | {"pairs": agreed.pairs, "frequency": frequency}, indent=1))
        return EXIT_OK
    _print_agreement(names, agreed)
    return EXIT_OK


def _print_agreement(names: Sequence[str], found: Agreement) -> None:
    print(f"overlap of pairs (Jaccard): {found.overlap:.3f}{_between(found)}; by chance {found.by_chance:.3f}")
    if len(names) <= NUMBERED:
        print()
        numbers = [str(i) for i in range(1, len(names) + 1)]
        rows = [[n, name, *(f"{v:.2f}" for v in row)] for n, name, row in zip(numbers, names, found.pairs, strict=True)]
        print_aligned([["", "", *numbers], *rows])
    print()
    frequent = found.frequency[:SHOWN]
    print_aligned(
        [["chosen in", "candidate", "", "parameters"]]
        + [[f"{share:.0%}", c.label, c.delta, count(c.parameters)] for c, share in frequent]
    )
    if len(found.frequency) > SHOWN:
        print(f"and {len(found.frequency) - SHOWN} more, each in {found.frequency[SHOWN][1]:.0%} or fewer")


def _between(found: Agreement) -> str:
    return f", 95% interval {found.interval[0]:.3f} to {found.interval[1]:.3f}" if found.interval else ""


def _print(name: str, structure: Structure) -> None:
    print(clean(_headline(name, structure)))
    totals = summary(structure)
    for title, key in (("delta", "by_delta"), ("site", "by_site")):
        print()
        rows = [
            [k, str(v["chosen"]), str(v["candidates"]), count(v["parameters"]), _share(v["parameters"], structure)]
            for k, v in totals[key].items()
        ]
        print_aligned([[title, "chosen", "of", "parameters", "share"], *rows])
    print()
    print_map(heatmap([structure]))


def _share(parameters: int, structure: Structure) -> str:
    return f"{parameters / structure.parameters:.1%}" if structure.parameters else "-"


def _headline(name: str, structure: Structure) -> str:
    budget = "no budget" if structure.budget is None else f"budget {count(structure.budget)}"
    chosen = f"{len(structure.selected)} of {len(structure.candidates)} candidates"
    model = f", model {structure.model}" if structure.model else ""
    return f"{name}: {chosen}, {count(structure.parameters)} parameters ({budget}){model}"


def print_map(found: Heatmap) -> None:
    """Print the map as text, as wide as the terminal."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else PIPE_WIDTH
    print("\n".join(map_lines(found, width)))
