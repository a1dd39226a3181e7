"""Prints results as a table, as JSON or as CSV."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING

from s3tui.cli.diagnostics import console
from s3tui.results.summary import Contest, Row, comparisons
from s3tui.text.sanitize import clean
from s3tui.text.serialize import as_csv, as_json
from s3tui.text.units import count, duration, percent, points

if TYPE_CHECKING:
    from rich.table import Table

BEST = "*"
WIDE = 100  # from this terminal width on, long names fit beside the numbers


def print_json(rows: Sequence[Row]) -> None:
    """Print a JSON object with `rows`, numbers unrounded."""
    print(as_json(rows=[asdict(row) for row in rows]))


def print_csv(rows: Sequence[Row]) -> None:
    """Print CSV with a header, numbers unrounded."""
    print(as_csv([field.name for field in fields(Row)], map(asdict, rows)), end="")


def print_table(rows: Sequence[Row]) -> None:
    """Print a table for each contest with the best score marked, and comparisons with baselines below."""
    from rich.text import Text

    terminal = console()
    contests: dict[Contest, list[Row]] = {}
    for row in rows:
        contests.setdefault(row.contest, []).append(row)
    for contest in contests.values():
        terminal.print(_table(contest, terminal.width >= WIDE))
        for sentence in comparisons(contest):
            terminal.print(Text(clean(sentence)))


def _table(rows: Sequence[Row], wide: bool) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    task, model, metric, precision = rows[0].contest
    computed = f" in {precision}" if precision else ""
    caption = f"score: {metric} x 100 on {task}, model {model}{computed}; {BEST} best"
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, caption=Text(clean(caption)))
    table.caption_justify = "left"
    table.add_column("", no_wrap=True)
    table.add_column("experiment", overflow="fold")
    table.add_column("method", no_wrap=True)
    for name in ("budget", "trained", "share", "score", "runs", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    best = max(row.score_mean for row in rows)
    for row in rows:
        is_best = row.score_mean == best
        mark, name, *others = (clean(text) for text in _cells(row, is_best))
        if not wide:
            name = re.sub("[/,]", r"\g<0>\n", name)  # break lines between the parts of a name
        table.add_row(*map(Text, (mark, name, *others)), style="bold" if is_best else "")
    return table


def _cells(row: Row, is_best: bool) -> list[str]:
    spread = "" if row.score_std is None else f" ± {points(row.score_std)}"
    share = row.parameters / row.backbone_parameters if row.backbone_parameters else None
    return [
        BEST if is_best else "",
        row.experiment,
        row.method,
        count(row.budget),
        count(row.parameters),
        percent(share),
        f"{points(row.score_mean)}{spread}",
        str(row.runs),
        duration(row.seconds),
    ]
