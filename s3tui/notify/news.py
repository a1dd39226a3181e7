"""What clients with a terminal make of notifications: they ring, and print what could not be sent."""

from __future__ import annotations

from dataclasses import dataclass, field

from s3tui.notify.record import Notices, file_of, read_notices, suites_that_notify
from s3tui.notify.targets import BELL
from s3tui.runs.workspace import Workspace


@dataclass
class News:
    """Follows the records of a workspace: `rings` counts messages for bells, `warnings` are lines; both only grow."""

    workspace: Workspace
    rings: int = 0
    warnings: tuple[str, ...] = ()
    _seen: dict[str, tuple[int, Notices]] = field(default_factory=dict)  # by suite, with the time stamp of the file
    _has_looked: bool = False

    def look(self) -> None:
        """Read the records that have changed. What was there at the first look is no news."""
        for suite in suites_that_notify(self.workspace):
            self._look_at(suite)
        self._has_looked = True

    def _look_at(self, suite: str) -> None:
        try:
            stamp = file_of(self.workspace, suite).stat().st_mtime_ns
        except OSError:
            return
        before = self._seen.get(suite)
        now = read_notices(self.workspace, suite) if before is None or before[0] != stamp else None
        if now is None:
            return
        self._seen[suite] = stamp, now
        if self._has_looked:
            was = before[1] if before is not None else Notices(())
            self.rings += max(0, now.count - was.count) if BELL in now.to else 0
            self.warnings += (now.warning,) if now.warned > was.warned and now.warning else ()
