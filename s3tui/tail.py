"""Follows event files that grow: each is held open and read from where the last look ended."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from core.run.events import Event, from_line

LONGEST_LINE = 2**24  # bytes; a longer tail without an end is damage, and is not kept in memory


class Tail:
    """The events that a file gains, in whole lines; `skipped` counts the lines that are no events.

    A torn tail is held until the rest of it comes. A file that is not there yet is an empty one, and one that has
    become shorter, or was replaced, is read anew.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None
        self._offset = 0
        self._torn = b""
        self.skipped = 0

    def poll(self) -> list[Event]:
        """The events of all lines completed since the last look."""
        if self._handle is None and not self._open():
            return []
        assert self._handle is not None
        data = os.pread(self._handle, max(0, os.fstat(self._handle).st_size - self._offset), self._offset)
        if not data:
            return self.poll() if self._is_another() else []
        self._offset += len(data)
        *lines, torn = (self._torn + data).split(b"\n")
        if len(torn) > LONGEST_LINE:
            torn = b"\0"  # whatever ends here is no event
        self._torn = torn
        return list(self._parse(lines))

    def close(self) -> None:
        """Let go of the file."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _open(self) -> bool:
        try:
            self._handle = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        self._offset, self._torn = 0, b""
        return True

    def _is_another(self) -> bool:
        """Whether the path now leads to another file, or to a shorter one; it is opened anew then."""
        assert self._handle is not None
        mine = os.fstat(self._handle)
        try:
            there = self._path.stat()
        except OSError:
            return False
        if there.st_ino == mine.st_ino and there.st_size >= self._offset:
            return False
        self.close()
        return self._open() and there.st_size > 0

    def _parse(self, lines: list[bytes]) -> Iterator[Event]:
        for line in lines:
            event = from_line(line) if line else None
            if event is not None:
                yield event
            elif line.strip():
                self.skipped += 1
