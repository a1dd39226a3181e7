"""Finds the TOML files in a folder: which of them are suites, and why the others are not."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from s3tui.text.problems import ConfigError
from s3tui.text.toml_file import MOST_BYTES, read_toml

DEPTH = 3  # folders down from where the search begins
MOST_FOLDERS = 2000  # to look into; the search may begin at the root of a large disk
MOST_FILES = 300


@dataclass(frozen=True)
class SuiteFile:
    """A TOML file. `problem` says why it is not a suite, empty if it looks like one; `changed` is its mtime in seconds.

    `is_toml` is False for a file that cannot be read as TOML.
    """

    path: Path
    name: str
    experiments: int
    problem: str
    is_toml: bool
    changed: float


def suite_files(folders: Iterable[Path]) -> list[SuiteFile]:
    """The TOML files under these folders: suites first, then unreadable files, then others."""
    found = [look_at(path) for path in dict.fromkeys(_files(folders))]
    return sorted(found, key=lambda file: (bool(file.problem), file.is_toml, len(file.path.parts), file.path))


def look_at(path: Path) -> SuiteFile:
    """Classify a file at first sight; its settings are not checked."""
    changed = 0.0
    try:
        status = path.stat()
        changed = status.st_mtime
        if status.st_size > MOST_BYTES:
            return SuiteFile(path, "", 0, "too large for a suite", True, changed)
        document = read_toml(path)
    except OSError as error:
        return SuiteFile(path, "", 0, f"cannot be read: {error.strerror}", False, changed)
    except ConfigError as error:
        return SuiteFile(path, "", 0, f"is no TOML: {str(error).removeprefix(f'{path}: ')}", False, changed)
    experiments, suite = document.get("experiment"), document.get("suite")
    if not isinstance(experiments, dict) or not experiments:
        return SuiteFile(path, "", 0, "no suite: it has no [experiment.NAME]", True, changed)
    name = suite.get("name") if isinstance(suite, dict) else None
    return SuiteFile(path, str(name or path.stem), len(experiments), "", True, changed)


def _files(folders: Iterable[Path]) -> Iterator[Path]:
    """TOML files, the nearest first. Links are not followed; runs, hidden folders and environments hold no suites."""
    waiting = deque((folder.resolve(), 0) for folder in folders)
    seen: set[Path] = set()
    files = 0
    while waiting and len(seen) < MOST_FOLDERS and files < MOST_FILES:
        folder, depth = waiting.popleft()
        if folder in seen:
            continue
        seen.add(folder)
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            continue
        if any(entry.name in ("spec.json", "queue.json", "pyvenv.cfg") for entry in found):
            continue
        for entry in found:
            if entry.name.endswith(".toml") and entry.is_file():
                files += 1
                yield Path(entry.path)
            elif depth < DEPTH and entry.is_dir(follow_symlinks=False) and not entry.name.startswith((".", "__")):
                waiting.append((Path(entry.path), depth + 1))
