"""Files of a workspace that nothing needs any more: left by kills, by finished runs, and by launchers."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from core.run.rundir import RunDir
from s3tui.launchers.registry import LAUNCHERS, launcher_named
from s3tui.runs.workspace import Workspace, find_runs
from s3tui.scheduling.control import DELETED, is_worked_on
from s3tui.system.file_locks import is_locked
from s3tui.system.process_identity import identity_of

_TEMPORARY = re.compile(r"\..+\.(\d+)")  # as written before it takes the place of another file


def garbage(workspace: Workspace) -> Iterator[Path]:
    """Half-deleted runs, half-written files of processes that are gone, checkpoints of finished runs, what launchers
    do not need any more."""
    yield from workspace.path.rglob(f"{DELETED}*")
    runs = find_runs(workspace.path)
    for name in LAUNCHERS:
        if workspace.of_launcher(name).is_dir():
            yield from launcher_named(name).leftovers(workspace, runs)
    for name in workspace.names():
        yield from _of_run(workspace.run(name).path)


def _of_run(folder: Path) -> Iterator[Path]:
    if is_locked(folder / "log.txt") or is_worked_on(RunDir(folder)):
        return
    for path in folder.iterdir():
        match = _TEMPORARY.fullmatch(path.name)
        if match is not None and identity_of(int(match[1])) is None:
            yield path
    checkpoint = folder / "checkpoint"
    if (folder / "result.json").exists() and checkpoint.is_dir() and not checkpoint.is_symlink():
        yield checkpoint


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    if path.is_dir() and not path.is_symlink():
        return sum(inner.lstat().st_size for inner in path.rglob("*") if not inner.is_dir())
    return path.lstat().st_size


def delete(path: Path) -> None:
    """Delete a file, a folder or a link, not what it leads to."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
