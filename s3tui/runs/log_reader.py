"""Follows the growing log of a run, line by line; each state of a progress bar counts as a line."""

from __future__ import annotations

import re
from pathlib import Path

from core.run.rundir import open_plain


class LogReader:
    """Follows a log file. With `last`, the first poll starts at most that many bytes before its end."""

    def __init__(self, path: Path, last: int | None = None) -> None:
        self._path, self._last = path, last
        self._offset = 0

    def poll(self, limit: int | None = None) -> list[str]:
        """The lines added since the last poll, of which the last may be incomplete; a restarted log is read anew."""
        try:
            with open_plain(self._path) as file:
                size = file.seek(0, 2)
                if size < self._offset:
                    self._offset = 0
                if self._last is not None:
                    self._offset, self._last = max(0, size - self._last), None
                file.seek(self._offset)
                data = file.read(size - self._offset if limit is None else min(limit, size - self._offset))
        except OSError:
            return []
        self._offset += len(data)
        return [line for line in re.split(r"[\r\n]+", data.decode(errors="replace")) if line]
