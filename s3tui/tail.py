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
        self._file = (0, 0)  # device and inode of the file that was read
        self._offset = 0
        self._torn = b""
        self.skipped = 0

    def poll(self) -> list[Event]:
        """The events of all lines completed since the last look."""
        if not self._is_open():
            return []
        assert self._handle is not None
        data = os.pread(self._handle, max(0, os.fstat(self._handle).st_size - self._offset), self._offset)
        self._offset += len(data)
        *lines, torn = (self._torn + data).split(b"\n")
        # Whatever ends behind a tail of such a length is no event.
        self._torn = torn if len(torn) <= LONGEST_LINE else b"\0"
        return list(self._parse(lines))

    def close(self) -> None:
        """Let go of the file; another look goes on where this one ended."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _is_open(self) -> bool:
        """Open the file where it is not open yet, or where another has taken its place."""
        try:
            there = self._path.stat()
        except OSError:
            return self._handle is not None
        same = (there.st_dev, there.st_ino) == self._file and there.st_size >= self._offset
        if same and self._handle is not None:
            return True
        self.close()
        try:
            self._handle = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        if not same:
            self._file, self._offset, self._torn = (there.st_dev, there.st_ino), 0, b""
        return True

    def _parse(self, lines: list[bytes]) -> Iterator[Event]:
        for line in lines:
            event = from_line(line) if line else None
            if event is not None:
                yield event
            elif line.strip():
                self.skipped += 1
