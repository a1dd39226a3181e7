"""Collects all problems of a TOML file, each with the file and the key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from core.run.errors import SpecError, nearest

Key = tuple[str | int, ...]


class ConfigError(SpecError):
    """A TOML file has problems; `problems` holds a line for each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)


class Problems:
    """The problems of one file, without duplicates, in the order in which they are found."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._lines: dict[str, None] = {}

    def add(self, key: Key, message: str) -> None:
        """Add a problem with the value at `key`."""
        self._lines[": ".join(part for part in (self._file, dotted(key), message) if part)] = None

    def unknown_keys(self, key: Key, table: Iterable[str], known: Iterable[str]) -> None:
        """Add a problem for every key of the table at `key` that is not among `known`."""
        known = tuple(known)
        for name in table:
            if name not in known:
                self.add((*key, name), unknown_key(name, known))

    @property
    def lines(self) -> list[str]:
        """A line for each."""
        return list(self._lines)

    def raise_any(self) -> None:
        """Raise ConfigError if there are problems."""
        if self._lines:
            raise ConfigError(self.lines)


def unknown_key(name: str, known: Iterable[str]) -> str:
    """The message about an unknown key."""
    return f"unknown key, {nearest(name, known)}"


def dotted(key: Key) -> str:
    """A key in TOML syntax: `space.small."attn.{q,v}"`, with `[1]` for an index in a list."""
    text = ""
    for part in key:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            bare = re.fullmatch(r"[A-Za-z0-9_-]+", part)
            text += ("." if text else "") + (part if bare else f'"{part}"')
    return text
