"""Finds the workspace that a command is about, and the runs that its arguments name."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence
from pathlib import Path

from core.run.errors import UsageError, nearest
from s3tui.runs.workspace import Workspace, no_workspace
from s3tui.text.toml_file import read_toml

DEFAULT_FILE = "experiments.toml"
DEFAULT_WORKSPACE = "runs"
CANDIDATES = 12  # names that are listed where one of them must have been meant


def find_workspace(where: Path | None) -> Workspace:
    """The workspace of a suite's file or a folder; by default that of experiments.toml, or `runs`."""
    if where is None:
        here = (Path(DEFAULT_FILE), Path(DEFAULT_WORKSPACE))
        where = next((path for path in here if path.exists()), None)
        if where is None:
            raise UsageError("there is no workspace here", "name one, or the file of a suite, with --in")
    if not where.exists():
        raise UsageError(f"there is no {where}", "name a workspace, or the file of a suite, with --in")
    if not where.is_dir() and not where.is_file():
        raise UsageError(
            f"{where} is neither a folder nor a file", "name a workspace, or the file of a suite, with --in"
        )
    if not where.is_dir():
        return _in_or_above(_of_file(where))  # which may be yet to be made
    found = _in_or_above(where.resolve())
    if not found.is_made:
        raise no_workspace(where)
    return found


def _in_or_above(folder: Path) -> Workspace:
    """The workspace in a folder; the folder of a suite will do as well."""
    is_suite = not Workspace(folder).shared.exists() and Workspace(folder.parent).shared.exists()
    return Workspace(folder.parent if is_suite else folder)


def _of_file(file: Path) -> Path:
    """The workspace that a suite's file names; the rest of it is not looked at."""
    suite = read_toml(file).get("suite", {})
    try:
        workspace = suite.get("workspace", DEFAULT_WORKSPACE)
        return (file.resolve().parent / Path(workspace).expanduser()).resolve()
    except (OSError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise UsageError(f"{file} names no workspace", str(error)) from None


def find_names(patterns: Sequence[str], names: Iterable[str]) -> list[str]:
    """The runs that the patterns name, each once; raises UsageError where one names none, or may name several."""
    names = list(names)
    return list(dict.fromkeys(name for pattern in patterns for name in _matches(pattern, names)))


def find_name(pattern: str, names: Iterable[str]) -> str:
    """The one run that a pattern names."""
    found = _matches(pattern, list(names))
    if len(found) > 1:
        raise _ambiguous(pattern, found)
    return found[0]


def is_glob(pattern: str) -> bool:
    """Whether a pattern may well name several runs."""
    return any(character in pattern for character in "*?[")


def _matches(pattern: str, names: Sequence[str]) -> list[str]:
    if pattern in names:
        return [pattern]
    # The suite may be left out of a name.
    short = {name: name.partition("/")[2] for name in names}
    if is_glob(pattern):
        found = [name for name in names if any(fnmatch.fnmatchcase(n, pattern) for n in (name, short[name]))]
    else:
        exact = [name for name in names if short[name] == pattern]
        found = exact or [name for name in names if name.startswith(pattern) or short[name].startswith(pattern)]
        if len(found) > 1:
            raise _ambiguous(pattern, found)
    if not found:
        raise UsageError(f"no run is called {pattern!r}", nearest(pattern, names) if names else "there are none")
    return found


def _ambiguous(pattern: str, found: Sequence[str]) -> UsageError:
    listed = "\n".join(found[:CANDIDATES])
    more = f"\nand {len(found) - CANDIDATES} more" if len(found) > CANDIDATES else ""
    return UsageError(f"{pattern!r} may be any of\n{listed}{more}")
