"""The Files tab: the files of a run, each with a description."""

from __future__ import annotations

import os
import time
from pathlib import Path

from textual.app import ComposeResult

from s3tui.listing.run_row import Line
from s3tui.runs.workspace import FoundRun
from s3tui.text.sanitize import clean
from s3tui.text.units import duration, size
from s3tui.tui.panes.base import GridPane
from s3tui.tui.snapshot import RunDetail
from s3tui.tui.support.background import handed_over
from s3tui.tui.support.palette import plain, text
from s3tui.tui.widgets.grid import Column, Grid, Row

LOOK_SECONDS = 2.0
COLUMNS = (
    Column("name", "file", 26), Column("size", "size", 10, right=True, rank=1),
    Column("age", "changed", 12, right=True, rank=2), Column("about", "what it is", 0, rank=3),
)  # fmt: skip
ABOUT = {
    "spec.json": "the settings, fixed when the run was created",
    "events.jsonl": "the event stream, append only",
    "log.txt": "output of the worker",
    "structure.json": "every candidate with its p, and which are chosen",
    "delta.safetensors": "the trained tensors",
    "predictions.parquet": "the prediction for each row of the test split",
    "result.json": "scores, parameters, budget, times, versions",
    "summary.json": "the values that a list of many runs shows",
    "checkpoint": "checkpoints, from which a stopped run resumes",
    "heartbeat": "touched while the worker is alive",
    "queue.json": "the requested state of the run",
    "process.json": "the process that executes it, or did last",
    "exit.json": "how that process ended",
    "job.json": "its job on a cluster",
}


class FilesPane(GridPane):
    """The tab."""

    def __init__(self) -> None:
        super().__init__()
        self._looked_at = float("-inf")

    def compose(self) -> ComposeResult:
        """A table of files."""
        yield Grid(COLUMNS, "no files", id="files")

    def show(self, run: FoundRun, line: Line, detail: RunDetail) -> None:
        """Read the folder every other second, in the feed's thread, as the disk may be slow."""
        if time.monotonic() - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = time.monotonic()
        folder = run.directory.path
        fill = handed_over(self, self._fill)
        self.s3.in_background(lambda: fill(folder, rows_of(folder)))

    def _fill(self, folder: Path, rows: list[Row]) -> None:
        grid = self.query_one(Grid)
        grid.border_title = plain(f"files in {folder}")
        grid.border_subtitle = "! opens a shell there, y copies the path"
        grid.show(rows)


def rows_of(folder: Path) -> list[Row]:
    """A row for each file, known ones first."""
    try:
        with os.scandir(folder) as entries:
            found = {e.name: e.stat(follow_symlinks=False) for e in entries if not e.name.startswith(".")}
    except OSError:
        return []
    known = [name for name in ABOUT if name in found]
    now = time.time()
    rows = []
    for name in [*known, *sorted(found.keys() - set(known))]:
        cells = {
            "name": text(clean(name)),
            "size": text("" if name == "checkpoint" else size(found[name].st_size)),
            "age": text(f"{duration(max(0.0, now - found[name].st_mtime))} ago", "muted"),
            "about": text(ABOUT.get(name, ""), "muted"),
        }
        rows.append(Row(name, cells))
    return rows
