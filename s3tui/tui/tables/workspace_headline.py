"""The headline above the table of runs: the workspace, the number of runs in each state, and the dispatcher."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from s3tui.runs.status import STATES
from s3tui.text.sanitize import clean
from s3tui.tui.snapshot import Snapshot
from s3tui.tui.support.palette import Cell, state, text


def short_path(path: Path) -> str:
    """A short form of a path, relative to the current folder or home."""
    for start, written in ((Path.cwd(), ""), (Path.home(), "~/")):
        if start in path.parents:
            return f"{written}{path.relative_to(start)}"
    return str(path)


def headline(path: Path, snapshot: Snapshot) -> list[Cell]:
    """The cells of the headline."""
    counts = Counter([line.status for line in snapshot.lines.values()])
    cells: list[Cell] = [text("s3tui", "strong")]
    for name in STATES:
        if counts[name]:
            cells += [text("  "), (state(name)[0], (f"{counts[name]} {name}", ""))]
    if not snapshot.loaded:
        cells.append(text("  reading", "muted"))
    if snapshot.read_only:
        cells.append(text(f"  read-only: {snapshot.read_only}", "warn"))
    if snapshot.paused:
        cells.append(text("  the queue is paused", "warn"))
    if not snapshot.read_only and snapshot.dispatcher == "nobody" and counts["queued"]:
        cells.append(text("  nobody starts queued runs: D does", "warn"))
    elif snapshot.dispatcher and snapshot.dispatcher != "nobody":
        cells.append(text(f"  dispatched by {snapshot.dispatcher}", "muted"))
    if snapshot.trouble:
        cells.append(text(f"  {clean(snapshot.trouble)}; trying again", "bad"))
    cells.append(text(f"  {clean(short_path(path))}", "muted"))
    return cells
