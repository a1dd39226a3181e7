"""What the commands about structures do."""

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
from core.run.selection import mean
from core.run.structure import Candidate, Structure
from s3tui.cli.diagnostics import PIPE_WIDTH, say
from s3tui.structures.load import Heatmap, find, heatmap, is_original, summary
from s3tui.structures.text_map import map_lines
from s3tui.system.output_file import write_output
from s3tui.text.columns import print_aligned
from s3tui.text.sanitize import clean
from s3tui.text.units import count

SELECTIONS = ("first-fit", "knapsack")
SHOWN = 20  # candidates that a list shows; --json has them all
NUMBERED = 10  # structures whose pairs fit into a table


def show(which: str, like: str | None, where: Path | None, as_json: bool) -> int:
    """Tell what a structure trains."""
    named = find([which], where, like)[0]
    if as_json:
        chosen = [_described(named.structure, i) for i in named.structure.selected]
        about = {"name": named.name, "model": named.structure.model}
        print(json.dumps(about | summary(named.structure) | {"chosen_candidates": chosen}, indent=1))
        return EXIT_OK
    _print(named.name, named.structure)
    return EXIT_OK


def _described(structure: Structure, i: int) -> dict[str, Any]:
    candidate = structure.candidates[i]
    return {"name": candidate.name} | asdict(candidate) | {"p": structure.p[i]}


def diff(a: str, b: str, like: str | None, where: Path | None, as_json: bool) -> int:
    """Tell what only `a`, and what only `b` trains."""
    one, other = find([a], where, like)[0], find([b], where, like)[0]
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
    """Average structures, or take one as it is, and choose anew under a budget."""
    if how not in SELECTIONS:
        raise UsageError(f"no rule of selection is called {how!r}", nearest(how, SELECTIONS))
    found = find(which, where)
    first = found[0]
    limit = first.structure.budget if budget is None else first.budget(budget)
    if limit is None:
        raise UsageError(f"{first.name} has no budget", "give one with --budget")
    made = mean([named.structure for named in found], limit, how)
    names = ", ".join(named.name for named in found)
    return _give(names if len(found) == 1 else f"mean of {len(found)} ({names})", made, output, as_json)


def draw(like: str, seed: int, output: Path | None, where: Path | None, as_json: bool) -> int:
    """Draw a structure at random."""
    named = find([like], where)[0]
    return _give(f"random like {named.name}, seed {seed}", drawn_like(named.structure, seed), output, as_json)


def convert(which: str, like: str | None, output: Path | None, where: Path | None, as_json: bool) -> int:
    """To the form of the paper's code, or from it."""
    named = find([which], where, like)[0]
    theirs = is_original(Path(which))
    return _write(named.structure.to_json() if theirs else to_original(named.structure), output, True)


def _give(name: str, structure: Structure, output: Path | None, as_json: bool) -> int:
    """Hand a new structure over: as a file, as JSON, or to be looked at."""
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
    """Tell how far structures agree."""
    found = find(which, where)
    if len(found) < 2:
        raise UsageError("one structure agrees with itself", "name two or more, as in 'searched/*'")
    told = agreement([named.structure for named in found])
    names = [named.name for named in found]
    if as_json:
        frequency = [{"name": c.name, "parameters": c.parameters, "share": share} for c, share in told.frequency]
        numbers = {"overlap": told.overlap, "interval": told.interval, "by_chance": told.by_chance}
        print(json.dumps({"structures": names} | numbers | {"pairs": told.pairs, "frequency": frequency}, indent=1))
        return EXIT_OK
    _print_agreement(names, told)
    return EXIT_OK


def _print_agreement(names: Sequence[str], told: Agreement) -> None:
    print(f"overlap of pairs (Jaccard): {told.overlap:.3f}{_between(told)}; by chance {told.by_chance:.3f}")
    if len(names) <= NUMBERED:
        print()
        numbers = [str(i) for i in range(1, len(names) + 1)]
        rows = [[n, name, *(f"{v:.2f}" for v in row)] for n, name, row in zip(numbers, names, told.pairs, strict=True)]
        print_aligned([["", "", *numbers], *rows])
    print()
    frequent = told.frequency[:SHOWN]
    print_aligned(
        [["chosen in", "candidate", "", "parameters"]]
        + [[f"{share:.0%}", c.label, c.delta, count(c.parameters)] for c, share in frequent]
    )
    if len(told.frequency) > SHOWN:
        print(f"and {len(told.frequency) - SHOWN} more, each in {told.frequency[SHOWN][1]:.0%} or fewer")


def _between(told: Agreement) -> str:
    return f", 95% interval {told.interval[0]:.3f} to {told.interval[1]:.3f}" if told.interval else ""


def _print(name: str, structure: Structure) -> None:
    print(clean(_headline(name, structure)))
    told = summary(structure)
    for title, key in (("delta", "by_delta"), ("site", "by_site")):
        print()
        rows = [
            [k, str(v["chosen"]), str(v["candidates"]), count(v["parameters"]), _share(v["parameters"], structure)]
            for k, v in told[key].items()
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
    """The map in text, as wide as the terminal."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else PIPE_WIDTH
    print("\n".join(map_lines(found, width)))
