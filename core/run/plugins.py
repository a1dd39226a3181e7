"""Plugins: deltas, tasks, methods, launchers, trackers and columns of other packages, found by their entry points.

A package declares its plugins in its metadata, in one group for each kind, as for pytest and others:

    [project.entry-points."s3tui.deltas"]
    shift = "my_package.rows:SHIFT"

There is no other way to register one: a suite, a spec or a run directory holds names alone, so reading one runs no code
except that of packages which the user has installed. Names are read from package metadata (`importlib.metadata`), and
only when a name is not ours; a module is imported when its row is used.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from core.run.errors import SpecError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

Row = TypeVar("Row")


class Registry(Mapping[str, Row], Generic[Row]):
    """A table of rows by name: those of this package, which take precedence, and those of installed packages.

    `group` is the group of entry points after `s3tui.`, as in "deltas", and `kind` the type of the rows. Looking up or
    iterating over names imports nothing; getting a row of another package imports its module, and raises SpecError if
    that fails.
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
    """The entry points of a group by name; of two with the same name, the one that is first on the path."""
    return {point.name: point for point in reversed(_all()) if point.group == f"s3tui.{group}"}


def resolve(code: str, what: str) -> Any:
    """Import the object that `module:attribute` names; raises SpecError, beginning with `what`, if that fails."""
    import pkgutil  # which those who only read rows do without

    try:
        return pkgutil.resolve_name(code)
    except Exception as error:  # third-party code may raise anything
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
    from importlib import metadata  # imported here, as it is slow and rarely needed

    return [point for package in metadata.distributions(path=_installed()) for point in package.entry_points]


def _installed() -> list[str]:
    """Where packages are installed: the import path without the working directory, unless PYTHONPATH names it.

    `python -m` puts the working directory on the path, but the user did not install what happens to be there.
    """
    try:
        here = os.path.realpath(os.curdir)
    except OSError:  # the working directory was deleted
        return [entry for entry in sys.path if entry.startswith(os.sep)]
    named = {os.path.realpath(entry) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry}
    return [entry for entry in sys.path if (real := os.path.realpath(entry or here)) != here or real in named]
