"""What the app remembers of its user: the theme, and of each workspace how its runs were shown.

It is one small file under $XDG_STATE_HOME, never in a run directory; a damaged file is as good as none.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from core.run.errors import RunDirError
from core.run.fields import LATER, Between, Moment
from core.run.rundir import read_record_if_there, write_json

MOST = 50  # workspaces, the latest ones


@dataclass(frozen=True)
class Shown:
    """How the runs of a workspace are shown; `columns` are the chosen ones, none if the app chooses.

    `glance` is the part of the screen's height that the charts under the table have, in percent.
    """

    columns: tuple[str, ...] = field(default=(), metadata=LATER)
    sort: str = field(default="", metadata=LATER)
    filter: str = field(default="", metadata=LATER)
    group_by: str = field(default="", metadata=LATER)
    glance: Annotated[int, Between(0, 100)] = field(default=35, metadata=LATER)
    seen: Moment = field(default=0.0, metadata=LATER)


@dataclass(frozen=True)
class State:
    """The content of the file; `workspaces` are by their paths."""

    theme: str = field(default="", metadata=LATER)
    workspaces: dict[str, Shown] = field(default_factory=dict, metadata=LATER)


def state_file() -> Path:
    """The file of the user."""
    home = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(home).expanduser() / "s3tui" / "app.json"


class Memory:
    """The state as last read, with what has changed since; without a file nothing outlives the app."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._changed: dict[str, Shown] = {}
        self._state = self._read()
        self.theme = self._state.theme

    def of(self, workspace: Path) -> Shown:
        """How the runs of a workspace were shown."""
        return self._changed.get(str(workspace)) or self._state.workspaces.get(str(workspace), Shown())

    def keep(self, workspace: Path, shown: Shown) -> None:
        """Remember how the runs of a workspace are shown."""
        self._changed[str(workspace)] = replace(shown, seen=time.time())

    def recent(self) -> list[Path]:
        """The workspaces that were shown, the latest first."""
        known = self._state.workspaces | self._changed
        return [Path(path) for path in sorted(known, key=lambda path: -known[path].seen)]

    def save(self) -> None:
        """Write the file; another app may have written it meanwhile. A disk that refuses it is no reason to fail."""
        if self._file is None:
            return
        known = {**self._read().workspaces, **self._changed}
        latest = sorted(known.items(), key=lambda item: -item[1].seen)[:MOST]
        data: dict[str, Any] = {"theme": self.theme, "workspaces": {path: asdict(shown) for path, shown in latest}}
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._file, data)

    def _read(self) -> State:
        if self._file is None:
            return State()
        try:
            return read_record_if_there(self._file, State) or State()
        except RunDirError:
            return State()
