"""Prints results as a table, as JSON or as CSV."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from s3tui.cli.diagnostics import console
from s3tui.results import verdicts
from s3tui.results.gains import Gain
from s3tui.results.standings import KEYS, Standing, as_row, comparisons, constants, score, written
from s3tui.results.summary import Contest
from s3tui.results.verdicts import Diagnosis
from s3tui.text.sanitize import clean
from s3tui.text.serialize import as_csv, as_json
from s3tui.text.units import count, duration, points

if TYPE_CHECKING:
    from rich.table import Table

MARKS = {"best": "*", "within noise": "~", "best, not known how sure": "?", "": ""}
LEGEND = {
    "*": "* best",
    "~": "~ within noise: the 95 % interval of the difference to the best covers 0",
    "?": "? highest, not known how sure: too few seeds, and runs without the standard error of their score",
}
NAME = "experiment"
BETWEEN_PARTS = re.compile("[/,]")  # where a long name may go on in the next line
SEARCH, AGREEMENT = "search", "seeds agree"
GAP = 2  # between columns
INTERVALS = 80  # from this terminal width on, gains are shown with their intervals


class _Column(NamedTuple):
    """A column of the table; where room is short, those of a high rank are left out first, those of rank 0 never."""

    title: str
    rank: int
    write: Callable[[Standing], str]
    right: bool = True

    def widest(self, contest: Sequence[Standing]) -> int:
        """The width of its longest text."""
        return max(len(self.title), *(len(self.write(standing)) for standing in contest))


def print_json(standings: Sequence[Standing], diagnosis: Diagnosis = verdicts.UNKNOWN) -> None:
    """Print a JSON object with `rows`, `verdicts` by run and `rank_correlations`, numbers unrounded."""
    print(as_json(rows=list(_rows(standings, diagnosis)), **verdicts.as_json(diagnosis)))


def print_csv(standings: Sequence[Standing], diagnosis: Diagnosis = verdicts.UNKNOWN) -> None:
    """Print CSV with a header, numbers unrounded."""
    print(as_csv((*KEYS, *verdicts.KEYS), _rows(standings, diagnosis)), end="")


def _rows(standings: Sequence[Standing], diagnosis: Diagnosis) -> Iterator[dict[str, Any]]:
    return (as_row(standing) | verdicts.as_row(diagnosis.of(standing.row)) for standing in standings)


def print_table(standings: Sequence[Standing], diagnosis: Diagnosis = verdicts.UNKNOWN) -> None:
    """Print a table for each contest with the best score marked, and comparisons with baselines below."""
    from rich.text import Text

    terminal = console()
    contests: dict[Contest, list[Standing]] = {}
    for standing in standings:
        contests.setdefault(standing.row.contest, []).append(standing)
    for contest in contests.values():
        terminal.print(_table(contest, diagnosis, terminal.width))
        shown = {column.title for column in _columns(contest, diagnosis, terminal.width)}
        notes = (*_notes(contest, shown), *_notes_on_searches(contest, diagnosis, shown))
        for sentence in (*notes, *comparisons(contest)):
            terminal.print(Text(clean(sentence)))


def _table(contest: Sequence[Standing], diagnosis: Diagnosis, width: int) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    columns = _columns(contest, diagnosis, width)
    for column in columns:
        side: Literal["right", "left"] = "right" if column.right else "left"
        table.add_column(column.title, justify=side, no_wrap=column.title != NAME, overflow="fold")
    breaks = sum(column.widest(contest) + GAP for column in columns) > width
    for standing in contest:
        cells = [clean(column.write(standing)) for column in columns]
        if breaks:
            cells[1] = BETWEEN_PARTS.sub("\\g<0>\n", cells[1])
        table.add_row(*map(Text, cells), style="bold" if MARKS[standing.place] in ("*", "?") else "")
    return table


def _columns(contest: Sequence[Standing], diagnosis: Diagnosis, width: int) -> list[_Column]:
    """The columns that have room beside the longest part of a name, the less important ones left out first."""
    parts = [part for standing in contest for part in BETWEEN_PARTS.split(standing.row.experiment)]
    columns = _wanted(contest, diagnosis, width)
    for last in sorted(columns, key=lambda column: -column.rank):
        needed = max(len(NAME), *map(len, parts)) + GAP
        needed += sum(column.widest(contest) + GAP for column in columns if column.title != NAME)
        if needed <= width or not last.rank:
            break
        columns.remove(last)
    return columns


def _wanted(contest: Sequence[Standing], diagnosis: Diagnosis, width: int) -> list[_Column]:
    """All columns that are not empty."""
    second = contest[0].row.second_metric
    found = [
        _Column("", 0, lambda one: MARKS[one.place], right=False),
        _Column(NAME, 0, lambda one: one.row.experiment, right=False),
        _Column("method", 5, lambda one: one.row.method, right=False),
        _Column("budget", 7, lambda one: count(one.row.budget)),
        _Column("trained", 3, lambda one: count(one.row.parameters)),
        _Column("test", 0, lambda one: score(one.row)),
    ]
    found += _about_searches(contest, diagnosis)
    if any(standing.row.standard_error is not None for standing in contest):
        found.append(_Column("s.e.", 2, lambda one: points(one.row.standard_error)))
    if second:
        found.append(_Column(second, 6, lambda one: points(one.row.second_mean)))
    if any(standing.gain for standing in contest):
        found.append(_Column("gain", 1, lambda one: _gained(one.gain, width >= INTERVALS)))
    return [
        *found,
        _Column("runs", 4, lambda one: str(one.row.runs)),
        _Column("time", 8, lambda one: duration(one.row.seconds)),
    ]


def _about_searches(contest: Sequence[Standing], diagnosis: Diagnosis) -> list[_Column]:
    """The verdicts on searches, and how far their seeds agree."""
    columns = [
        _Column(SEARCH, 1, lambda one: diagnosis.of(one.row).short, right=False),
        _Column(AGREEMENT, 9, lambda one: diagnosis.of(one.row).agreement),
    ]
    return [column for column in columns if any(map(column.write, contest))]


def _gained(gain: Gain | None, with_interval: bool) -> str:
    return "" if gain is None else written(gain if with_interval else replace(gain, interval=None))


def _notes(contest: Sequence[Standing], shown: Collection[str]) -> list[str]:
    """The lines below a table: what was measured, and what the marks and the shown columns mean."""
    rows = [standing.row for standing in contest]
    task, model, metric, precision = rows[0].contest
    sizes = {row.rows for row in rows if row.rows is not None}
    tested = f" ({', '.join(count(size) for size in sorted(sizes))} test rows)" if sizes else ""
    lines = [f"test: {metric} x 100 on {task}{tested}, model {model}{f' in {precision}' if precision else ''}"]
    if any(row.score_std is not None for row in rows):
        lines[0] += "; ± standard deviation over seeds"
    if "s.e." in shown:
        lines[0] += "; s.e. standard error of one run over the test rows"
    lines += [f"majority baseline (always the most frequent answer, or the mean): {text}" for text in constants(rows)]
    if left_out := max(row.left_out for row in rows):
        lines.append(
            f'{count(left_out)} bad row{"" if left_out == 1 else "s"} of the data left out: on_bad_rows = "drop"'
        )
    marks = dict.fromkeys(MARKS[standing.place] for standing in contest)
    lines.append("; ".join(LEGEND[mark] for mark in marks if mark))
    if "gain" in shown:
        over = sorted({standing.gain.over for standing in contest if standing.gain} - {""})
        lines.append("gain: over the best baseline" + (f"; 95 % interval over {' and '.join(over)}" if over else ""))
    return lines


def _notes_on_searches(contest: Sequence[Standing], diagnosis: Diagnosis, shown: Collection[str]) -> list[str]:
    """The lines about the verdicts of searches, their agreement, and whether they thought best of what scored best."""
    lines = []
    if SEARCH in shown:
        lines.append(f"{SEARCH}: {verdicts.legend([diagnosis.of(standing.row) for standing in contest])}")
    if AGREEMENT in shown:
        lines.append(f"{AGREEMENT}: {verdicts.AGREEMENT}")
    return [*lines, *map(str, diagnosis.of_contest(contest[0].row.contest))]
