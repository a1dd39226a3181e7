"""The command `list`: runs that pass filters, one by one or in groups."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from core.run.errors import EXIT_OK, UsageError, nearest
from s3tui.cli.diagnostics import say
from s3tui.launchers.registry import find_fresh
from s3tui.listing.columns import COLUMNS, as_row, in_list
from s3tui.listing.filters import parse_filter, sorted_lines
from s3tui.listing.grouping import OF_LINES, Group, flat, grouped
from s3tui.listing.run_row import Line, line_of
from s3tui.runs.lookup import find_workspace
from s3tui.runs.verdicts import verdict_of
from s3tui.runs.workspace import FoundRun
from s3tui.text.columns import fitting, print_aligned
from s3tui.text.sanitize import clean
from s3tui.text.serialize import Form, as_csv, as_json
from s3tui.text.units import points

LEAST = 100  # the rank of a column that the app does not show
GROUP = ("key", "value", "runs", "finished", "score_mean", "score_std")


def list_runs(words: Sequence[str], sort: str, group: str, where: Path | None, form: Form) -> int:
    """List the runs that pass the filters, or with `group` their groups."""
    keep = parse_filter(words)
    workspace = find_workspace(where)
    found, reasons = find_fresh(workspace), workspace.reasons()
    # Structures are read only where the verdict is asked for: a thousand take a second or more.
    is_asked = form != "table" or any("verdict" in word for word in (*words, sort))
    made = (line_of(run, reasons, verdict=verdict_of(run) if is_asked else None) for run in found)
    lines = sorted_lines(filter(keep, made), sort)
    if group:
        return _list_groups(_groups(lines, group, found), form)
    if form == "json":
        print(as_json(runs=[as_row(line) for line in lines]))
    elif form == "csv":
        print(as_csv(tuple(COLUMNS), map(as_row, lines)), end="")
    else:
        _print_lines(lines)
        say(f"{len(lines)} run{'' if len(lines) == 1 else 's'}")
    return EXIT_OK


def _print_lines(lines: Sequence[Line]) -> None:
    """Print a table; on a terminal without the columns for which it is too narrow, as in the app."""
    columns = in_list()
    if lines:
        head = [listed.title for _, listed in columns]
        rows = [head, *([clean(column.written(line)) for column, _ in columns] for line in lines)]
        if sys.stdout.isatty():
            ranks = [column.app.rank if column.app else LEAST for column, _ in columns]
            rows = fitting(rows, ranks, shutil.get_terminal_size().columns)
        print_aligned(rows)


def _groups(lines: Sequence[Line], key: str, found: Iterable[FoundRun]) -> list[Group]:
    """The groups of the lines; raises UsageError if no run has such a key."""
    specs = {run.name: run.spec for run in found}
    known = dict.fromkeys((*OF_LINES, *(name for spec in specs.values() for name, _ in flat(spec))))
    if key == "seed" or key not in known:
        why = "scores are averaged over seeds" if key == "seed" else nearest(key, known)
        raise UsageError(f"runs cannot be grouped by {key!r}", why)
    return grouped(lines, key, specs)


def row_of(group: Group) -> dict[str, Any]:
    """A group for export: the number of runs, and mean and standard deviation of the scores of finished ones."""
    values = (group.key, group.value, len(group.lines), group.done, group.mean, group.spread)
    return dict(zip(GROUP, values, strict=True))


def _list_groups(groups: Sequence[Group], form: Form) -> int:
    if form == "json":
        print(as_json(groups=[row_of(g) | {"names": [line.name for line in g.lines]} for g in groups]))
    elif form == "csv":
        print(as_csv(GROUP, map(row_of, groups)), end="")
    elif groups:
        spread = [f"± {points(g.spread)}" if g.spread is not None else "" for g in groups]
        rows = [
            [g.value, str(len(g.lines)), str(g.done), points(g.mean), s] for g, s in zip(groups, spread, strict=True)
        ]
        print_aligned([[groups[0].key, "runs", "finished", "test", ""], *rows])
    return EXIT_OK
