"""Deltas, tasks, methods, launchers, trackers and columns that other packages bring, found by their entry points.

A package names what it brings in its metadata, in a group for each kind, as pytest and others have it:

    [project.entry-points."s3tui.deltas"]
    shift = "my_package.rows:SHIFT"

Nothing else registers anything: a suite, a spec or a run directory holds names alone, so reading one runs no code but
that of packages which the user has installed. Their names are read from files (`importlib.metadata`) and only when one
is asked for that is not ours; a module is imported when its row is used.
"""

from __future__ import annotations

import functools
import os
import pkgutil
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from core.run.errors import SpecError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

Row = TypeVar("Row")


class Registry(Mapping[str, Row], Generic[Row]):
    """Rows by name: those of this package, which always win, then those of installed packages.

    `group` is the group of entry points behind `s3tui.`, as in "deltas", and `kind` what each of them must be. Asking
    for a name or going through all names imports nothing; taking a row that is not `own` imports the module that holds
    it, and raises SpecError where that fails.
    """

    def __init__(self, group: str, kind: Any, own: Mapping[str, Row]) -> None:
        self.group, self.own, self._kind = group, own, kind

    def __contains__(self, name: object) -> bool:
        return name in self.own or name in entry_points(self.group)

    def __iter__(self) -> Iterator[str]:
        yield from self.own
        yield from (name for name in entry_points(self.group) if name not in self.own)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, name: str) -> Row:
        if name in self.own:
            return self.own[name]
        row: Row = _row(self.group, name, self._kind)
        return row


@functools.cache
def entry_points(group: str) -> Mapping[str, EntryPoint]:
    """What installed packages bring of a kind, by name; of two with one name that which is first on the path."""
    return {point.name: point for point in reversed(_all()) if point.group == f"s3tui.{group}"}


def resolve(code: str, what: str) -> Any:
    """What `module:attribute` names; raises SpecError, which begins with `what`, where it cannot be imported."""
    try:
        return pkgutil.resolve_name(code)
    except Exception as error:  # a module of somebody else's may raise whatever it likes
        raise _unusable(what, code, error) from error


@functools.cache
def _row(group: str, name: str, kind: Any) -> Any:
    point = entry_points(group)[name]
    what = f"{group.removesuffix('s')} {name!r} of an installed package"
    try:
        row = point.load()
    except Exception as error:
        raise _unusable(what, point.value, error) from error
    if not isinstance(row, kind) or getattr(row, "name", name) != name:
        expected = getattr(kind, "__name__", kind)
        raise SpecError(f"{what} cannot be used: {point.value} is not the {expected} called {name!r}", "mend it there")
    return row


def _unusable(what: str, code: str, error: Exception) -> SpecError:
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return SpecError(f"{what} cannot be used: {code} fails with {reason}", "mend or uninstall that package")


@functools.cache
def _all() -> list[EntryPoint]:
    from importlib import metadata  # takes a while, and is rarely needed

    return [point for package in metadata.distributions(path=_installed()) for point in package.entry_points]


def _installed() -> list[str]:
    """Where packages are installed: the path without the working directory, unless PYTHONPATH names that.

    `python -m` puts the working directory on the path, and nobody chose to install what happens to lie there.
    """
    try:
        here = os.path.realpath(os.curdir)
    except OSError:  # it has been deleted
        return [entry for entry in sys.path if entry.startswith(os.sep)]
    named = {os.path.realpath(entry) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry}
    return [entry for entry in sys.path if (real := os.path.realpath(entry or here)) != here or real in named]
