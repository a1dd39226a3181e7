"""Cells of tables: means with their spread, paired differences with their intervals; tables in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from evidence import Seeds

from s3tui.results.gains import Gain, gain


def cell(scores: Seeds) -> str:
    """The mean over seeds, their standard deviation and number."""
    values = list(scores.values())
    if len(values) < 2:
        return f"{values[0]:.1f} (1)" if values else ""
    return f"{statistics.fmean(values):.1f} ± {statistics.stdev(values):.1f} ({len(values)})"


def paired(ours: Seeds, theirs: Seeds) -> Gain | None:
    """The mean paired difference with its interval; None without two common seeds."""
    return gain("", ours, theirs) if len(ours.keys() & theirs.keys()) > 1 else None


def difference(ours: Seeds, theirs: Seeds) -> str:
    """The mean paired difference with its interval; empty of a row to itself."""
    found = paired(ours, theirs)
    if found is None or ours == theirs:
        return ""
    assert found.interval is not None
    return f"{found.difference:+.1f} [{found.interval[0]:+.1f}, {found.interval[1]:+.1f}]"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table, without the rows that are empty."""
    lines = [head, ["---"] * len(head), *(row for row in rows if any(row[1:]))]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
