"""The commands that change runs: stop, cancel, pause, resume, retry, priority, rm, gc (see `scheduling.control`)."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from core.run.errors import EXIT_FAILED, EXIT_OK, EXIT_USAGE, UsageError
from s3tui.cli.diagnostics import confirmed, say
from s3tui.runs.lookup import find_names, find_workspace, is_glob
from s3tui.runs.workspace import FoundRun, Workspace, read_run
from s3tui.scheduling import control
from s3tui.scheduling.bulk_actions import Action, Done, apply
from s3tui.text.sanitize import clean


def stop(patterns: Sequence[str], now: bool, where: Path | None, as_json: bool) -> int:
    """Stop runs with a checkpoint, or at once."""
    return _end(patterns, lambda workspace, run: control.hold(workspace, run, now), now, where, as_json)


def cancel(patterns: Sequence[str], where: Path | None, as_json: bool) -> int:
    """Cancel runs for good."""
    return _end(patterns, control.cancel, True, where, as_json)


def _end(patterns: Sequence[str], action: Action, at_once: bool, where: Path | None, as_json: bool) -> int:
    workspace, runs = _chosen(patterns, where)
    outcome = apply(workspace, runs, action)
    left = control.wait_for_end(workspace, runs, at_once)
    for run in left:
        say(f"{run.name}: is still alive; it may hang in the kernel, or run on another machine")
    return EXIT_FAILED if left else _print(outcome, patterns, as_json)


def pause(patterns: Sequence[str], where: Path | None, as_json: bool) -> int:
    """Pause the queue, or runs."""
    if patterns:
        return stop(patterns, False, where, as_json)
    workspace = _writable(where)
    workspace.pause.touch()
    return _print_queue("paused", as_json)


def resume(patterns: Sequence[str], where: Path | None, as_json: bool) -> int:
    """Resume the queue, or runs."""
    if patterns:
        return _requeue(patterns, control.resume, where, as_json)
    workspace = _writable(where)
    workspace.pause.unlink(missing_ok=True)
    code = _print_queue("goes on", as_json)
    _hint(workspace)
    return code


def _print_queue(what: str, as_json: bool) -> int:
    print(json.dumps({"queue": what}) if as_json else f"the queue {'is paused' if what == 'paused' else 'is resumed'}")
    return EXIT_OK


def retry(patterns: Sequence[str], where: Path | None, as_json: bool) -> int:
    """Queue runs again."""
    code = _requeue(patterns, control.retry, where, as_json)
    if code == EXIT_OK:
        say("retried runs keep the settings that they were created with; s3tui run FILE --fresh takes those of FILE")
    return code


def _requeue(patterns: Sequence[str], action: Action, where: Path | None, as_json: bool) -> int:
    workspace, runs = _chosen(patterns, where)
    outcome = apply(workspace, runs, action)
    code = _print(outcome, patterns, as_json)
    if not all(one.refused for one in outcome):
        _hint(workspace)
    return code


def _hint(workspace: Workspace) -> None:
    if workspace.dispatcher() is None:
        say("no dispatcher is running for this workspace: start one with s3tui attach")


def priority(pattern: str, value: int, where: Path | None, as_json: bool) -> int:
    """Give runs another priority."""
    workspace, runs = _chosen([pattern], where)
    outcome = apply(workspace, runs, lambda workspace, run: control.set_priority(workspace, run, value))
    return _print(outcome, [pattern], as_json)


def rm(patterns: Sequence[str], yes: bool, where: Path | None, as_json: bool) -> int:
    """Delete runs, after confirmation."""
    workspace, runs = _chosen(patterns, where)
    if not yes:
        _ask(runs)

    def remove(workspace: Workspace, run: FoundRun) -> str:
        control.remove(workspace, run.directory)
        return "deleted"

    return _print(apply(workspace, runs, remove), patterns, as_json)


def _ask(runs: Sequence[FoundRun]) -> None:
    if sys.stdin.isatty():
        for run in runs:
            say(f"{run.name} ({run.status.name})")
    if not confirmed(f"Delete {'this run' if len(runs) == 1 else f'these {len(runs)} runs'}?"):
        raise UsageError("nothing was deleted")


def gc(where: Path | None, as_json: bool) -> int:
    """Delete files that are not needed."""
    from s3tui.scheduling.garbage import delete, garbage, size_of

    workspace = _writable(where)
    deleted: list[tuple[str, int]] = []
    for found in list(garbage(workspace)):
        deleted.append((found.relative_to(workspace.path).as_posix(), size_of(found)))
        delete(found)
    total = sum(size for _, size in deleted)
    if as_json:
        print(json.dumps({"deleted": [path for path, _ in deleted], "bytes": total}, indent=1))
    else:
        for path, size in deleted:
            print(f"{clean(path)}  {size:,} bytes")
        print(f"{total:,} bytes freed")
    return EXIT_OK


def _writable(where: Path | None) -> Workspace:
    workspace = find_workspace(where)
    workspace.make_writable()
    return workspace


def _chosen(patterns: Sequence[str], where: Path | None) -> tuple[Workspace, list[FoundRun]]:
    workspace = _writable(where)
    names = find_names(patterns, workspace.names())
    return workspace, [read_run(workspace.run(name), name) for name in names]


def _print(outcome: Sequence[Done], patterns: Sequence[str], as_json: bool) -> int:
    """Print what was done; a refusal is an error, unless a pattern also matched runs for which it was possible."""
    if as_json:
        print(json.dumps({"runs": [vars(one) for one in outcome]}, indent=1))
    for one in outcome:
        if one.refused:
            say(f"s3tui: {one.refused}")
        elif not as_json:
            print(f"{clean(one.name)}: {clean(one.done)}")
    refused = [one for one in outcome if one.refused]
    by_the_way = all(map(is_glob, patterns)) and len(refused) < len(outcome)
    return EXIT_USAGE if refused and not by_the_way else EXIT_OK
