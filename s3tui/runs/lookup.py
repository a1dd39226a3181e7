"""Finds the workspace of a command, and the runs that its arguments name."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence
from pathlib import Path

from core.run.errors import UsageError, nearest
from s3tui.runs.workspace import Workspace, no_workspace
from s3tui.text.toml_file import read_toml

DEFAULT_FILE = "experiments.toml"
DEFAULT_WORKSPACE = "runs"
CANDIDATES = 12  # names listed in the message about an ambiguous one


def find_workspace(where: Path | None) -> Workspace:
    """The workspace of a suite file or a folder; by default that of experiments.toml, or `runs`."""
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
        return _in_or_above(_of_file(where))  # it may not exist yet
    found = _in_or_above(where.resolve())
    if not found.is_made:
        raise no_workspace(where)
    return found


def _in_or_above(folder: Path) -> Workspace:
    """The workspace in a folder; the folder of a suite is accepted too."""
    is_suite = not Workspace(folder).shared.exists() and Workspace(folder.parent).shared.exists()
    return Workspace(folder.parent if is_suite else folder)


def _of_file(file: Path) -> Path:
    """The workspace that a suite file names; the rest of the file is not validated."""
    suite = read_toml(file).get("suite", {})
    try:
        workspace = suite.get("workspace", DEFAULT_WORKSPACE)
        return (file.resolve().parent / Path(workspace).expanduser()).resolve()
    except (OSError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise UsageError(f"{file} names no workspace", str(error)) from None


def find_names(patterns: Sequence[str], names: Iterable[str]) -> list[str]:
    """The runs that the patterns match, without duplicates; raises UsageError if one matches none or is ambiguous."""
    names = list(names)
    return list(dict.fromkeys(name for pattern in patterns for name in _matches(pattern, names)))


def find_name(pattern: str, names: Iterable[str]) -> str:
    """The only run that a pattern matches."""
    found = _matches(pattern, list(names))
    if len(found) > 1:
        raise _ambiguous(pattern, found)
    return found[0]


def is_glob(pattern: str) -> bool:
    """Whether a pattern is allowed to match several runs."""
    return any(character in pattern for character in "*?[")


def _matches(pattern: str, names: Sequence[str]) -> list[str]:
    if pattern in names:
        return [pattern]
    # A name may omit the suite.
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
