"""The command `export`; the work is done by a child process of `core`, so nothing heavy is imported here."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from core.run.errors import EXIT_OK, EXIT_USAGE, S3Error, UsageError, nearest
from core.run.rundir import RunDir
from s3tui.cli.diagnostics import say
from s3tui.system.child import PYTHON, surroundings

KINDS = ("delta", "merged", "peft")


class ExportError(S3Error):
    """The export failed, for a reason that the child process reported."""

    def __init__(self, message: str, hint: str, exit_code: int) -> None:
        super().__init__(message, hint)
        self.exit_code = exit_code


def export(run: str, kind: str, output: Path, push: str | None, where: Path | None, as_json: bool) -> int:
    """Export a run as a folder, and upload it if `push` names a repository."""
    if kind not in KINDS:
        raise UsageError(f"no form of export is called {kind!r}", nearest(kind, KINDS))
    found = _exported(_directory(run, where), kind, output.absolute(), push) | {"folder": str(output)}
    if as_json:
        print(json.dumps(found, indent=1))
        return EXIT_OK
    for name, size in found["files"].items():
        print(f"{size:>12,} bytes  {output / name}")
    if found["url"]:
        print(found["url"])
    say(f"how to load it: {output / 'README.md'}")
    return EXIT_OK


def _directory(run: str, where: Path | None) -> Path:
    """The directory of a run, given by name or as a path."""
    if RunDir(Path(run)).exists():
        return Path(run).absolute()
    from s3tui.runs.lookup import find_name, find_workspace

    workspace = find_workspace(where)
    return workspace.run(find_name(run, workspace.names())).path


def _exported(run: Path, kind: str, output: Path, push: str | None) -> dict[str, Any]:
    """Run `core.export` and return its output; raises the errors that it reports."""
    child = subprocess.run(
        [*PYTHON, "-m", "core.export", str(run), kind, str(output), *([push] if push else [])],
        capture_output=True, check=False, text=True, errors="replace", stdin=subprocess.DEVNULL,
        **surroundings(),
    )  # fmt: skip
    try:
        found: dict[str, Any] = json.loads(child.stdout.strip().rpartition("\n")[2])
    except ValueError:
        last = child.stderr.strip().rpartition("\n")[2] or f"it ended with {child.returncode}"
        raise S3Error(f"cannot export {run}", last) from None
    if "message" in found:
        raise ExportError(found["message"], found["hint"], child.returncode or EXIT_USAGE)
    return found
