"""Runs exported for other people's code, by a child process of `core`: nothing heavy is loaded here."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from core.run.errors import EXIT_OK, EXIT_USAGE, S3Error, UsageError, nearest
from core.run.rundir import RunDir
from s3tui.system.child import PYTHON, surroundings

KINDS = ("delta", "merged", "peft")


class ExportError(S3Error):
    """The export could not be made, for a reason that the child has told."""

    def __init__(self, message: str, hint: str, exit_code: int) -> None:
        super().__init__(message, hint)
        self.exit_code = exit_code


def export(run: str, kind: str, output: Path, push: str | None, where: Path | None, as_json: bool) -> int:
    """Write a run as a folder that others load, and upload it where `push` names a repository."""
    if kind not in KINDS:
        raise UsageError(f"no form of export is called {kind!r}", nearest(kind, KINDS))
    told = _told(_directory(run, where), kind, output.absolute(), push) | {"folder": str(output)}
    if as_json:
        print(json.dumps(told, indent=1))
        return EXIT_OK
    for name, size in told["files"].items():
        print(f"{size:>12,} bytes  {output / name}")
    if told["url"]:
        print(told["url"])
    return EXIT_OK


def _directory(run: str, where: Path | None) -> Path:
    """The directory of a run, which is named or is a path."""
    if RunDir(Path(run)).exists():
        return Path(run).absolute()
    from s3tui.runs.lookup import find_name, find_workspace

    workspace = find_workspace(where)
    return workspace.run(find_name(run, workspace.names())).path


def _told(run: Path, kind: str, output: Path, push: str | None) -> dict[str, Any]:
    """What `core.export` says; raises its failures."""
    child = subprocess.run(
        [*PYTHON, "-m", "core.export", str(run), kind, str(output), *([push] if push else [])],
        capture_output=True, check=False, text=True, errors="replace", stdin=subprocess.DEVNULL,
        **surroundings(),
    )  # fmt: skip
    try:
        told: dict[str, Any] = json.loads(child.stdout.strip().rpartition("\n")[2])
    except ValueError:
        last = child.stderr.strip().rpartition("\n")[2] or f"it ended with {child.returncode}"
        raise S3Error(f"cannot export {run}", last) from None
    if "message" in told:
        raise ExportError(told["message"], told["hint"], child.returncode or EXIT_USAGE)
    return told
