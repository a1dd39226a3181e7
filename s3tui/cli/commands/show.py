"""The commands that show runs and change nothing: status, show, path."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from core.run.errors import EXIT_OK
from core.run.searched import source_of
from s3tui.launchers.registry import find_fresh
from s3tui.listing.columns import as_row, progress
from s3tui.listing.grouping import flat
from s3tui.listing.run_row import Line, line_of
from s3tui.listing.suite_totals import Overview, overviews, seconds_left
from s3tui.runs.failure import last_lines
from s3tui.runs.lookup import find_name, find_workspace
from s3tui.runs.status import Dead
from s3tui.runs.verdicts import verdict_of
from s3tui.runs.workspace import Workspace, read_run
from s3tui.text.columns import print_aligned
from s3tui.text.sanitize import clean
from s3tui.text.units import ABSENT, duration, points

SHOWN = 10  # waiting runs that `status` lists
SHOWN_KEYS = (
    "name", "status", "note", "folder", "phase", "step", "ended_early", "search_from", "test", "search", "val", "best",
    "parameters", "seconds", "priority", "tags",
)  # fmt: skip


SCORES = ("test", "val", "best")
TITLES = {"best": "best val"}


def status(where: Path | None, as_json: bool) -> int:
    """Print the state of the suites, running and waiting runs."""
    workspace = find_workspace(where)
    lines = lines_in(workspace)
    running = [_with_verdict(workspace, line) for line in lines if line.status in ("running", "quiet")]
    left = {line.name: seconds_left(workspace.run(line.name).events, line.total) for line in running}
    suites = overviews(lines, left)
    waiting = [line for line in lines if line.status == "queued"]
    if as_json:
        print(
            json.dumps(
                {
                    "workspace": str(workspace.path), "dispatcher": workspace.dispatcher(),
                    "paused": workspace.pause.exists(),
                    "suites": [{"suite": s.suite, **s.counts, "eta_seconds": s.eta} for s in suites],
                    "running": [as_row(line) | {"eta_seconds": left[line.name]} for line in running],
                    "waiting": [{"name": line.name, "reason": line.note} for line in waiting],
                },
                indent=1,
            )
        )  # fmt: skip
        return EXIT_OK
    print(_headline(workspace, bool(waiting)))
    _print_suites(suites)
    _print_running(running, left)
    if waiting:
        print("\nwaiting:")
        print_aligned([["", line.name, line.note] for line in waiting[:SHOWN]])
        if len(waiting) > SHOWN:
            print(f"  and {len(waiting) - SHOWN} more")
    return EXIT_OK


def _headline(workspace: Workspace, waiting: bool) -> str:
    who = workspace.dispatcher()
    dispatching = "no dispatcher is running" + (" (start one with s3tui attach)" if waiting else "")
    if who is not None:
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(who["since"]))
        dispatching = f"dispatched by process {who['pid']} on {who['host']} since {since}"
    return clean(f"{workspace.path}: {dispatching}" + ("; the queue is paused" if workspace.pause.exists() else ""))


def _print_suites(suites: Sequence[Overview]) -> None:
    states = [state for state in (suites[0].counts if suites else ()) if any(s.counts[state] for s in suites)]
    rows = [[s.suite, *(str(s.counts[state] or ABSENT) for state in states), duration(s.eta)] for s in suites]
    print_aligned([["suite", *states, "left"], *rows] if rows else [["no runs yet"]])


def _print_running(running: Sequence[Line], left: dict[str, float | None]) -> None:
    if running:
        print("\nrunning:")
        rows = [
            [line.name, progress(line), points(line.score), _searched(line), duration(left[line.name]), line.note]
            for line in running
        ]
        print_aligned([["", *row] for row in rows])


def _searched(line: Line) -> str:
    return "" if line.verdict is None else f"search {line.verdict.word}"


def _with_verdict(workspace: Workspace, line: Line) -> Line:
    """The same line with the verdict on its search, once that has chosen: it takes the run's structure to be read."""
    return replace(line, verdict=verdict_of(read_run(workspace.run(line.name), line.name)))


def lines_in(workspace: Workspace) -> list[Line]:
    """All runs of a workspace as table rows."""
    reasons = workspace.reasons()
    return [line_of(run, reasons) for run in find_fresh(workspace)]


def show(pattern: str, where: Path | None, as_json: bool) -> int:
    """Print all details of a run."""
    workspace = find_workspace(where)
    name = find_name(pattern, workspace.names())
    run = read_run(workspace.run(name), name)
    verdict = verdict_of(run)
    line = line_of(run, workspace.reasons(), verdict=verdict)
    details: dict[str, Any] = as_row(line) | {
        "search": verdict.to_json() if verdict else None,
        "folder": str(run.directory.path),
        "ended_early": run.summary.get("ended_early"),
        "search_from": shared.taken_from if (shared := source_of(run.directory)) else None,
        "process": _process(run.status),
        "log_tail": last_lines(run) if isinstance(run.status, Dead) else (),
        "queue": run.queue.to_json() if run.queue else None,
        "spec": run.spec,
        "summary": run.summary,
    }
    if as_json:
        print(json.dumps(details, indent=1))
    else:
        _print_run(details)
    return EXIT_OK


def path(pattern: str, where: Path | None, as_json: bool) -> int:
    """Print the folder of a run."""
    workspace = find_workspace(where)
    name = find_name(pattern, workspace.names())
    folder = str(workspace.run(name).path)
    print(json.dumps({"name": name, "path": folder}, indent=1) if as_json else folder)
    return EXIT_OK


def _print_run(details: dict[str, Any]) -> None:
    for key in SHOWN_KEYS:
        if details[key] not in (None, "", ()):
            print(f"{TITLES.get(key, key):12}{clean(_written(details[key], key))}")
    for text in details["log_tail"]:
        print(f"{'log':12}{clean(text)}")
    for key, value in flat(details["spec"]):
        print(f"  {clean(key)} = {clean(_written(value))}")


def _process(status: Any) -> dict[str, Any] | None:
    process = getattr(status, "process", None)
    return asdict(process) if process is not None else None


def _written(value: Any, key: str = "") -> str:
    if key in SCORES:
        return points(value)
    if key == "search":
        return str(value["sentence"])
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return str(value)
