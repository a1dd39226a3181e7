"""The notifications of a suite, in a file that survives every process: `.s3tui/notify/SUITE.json` of its workspace.

A change of state and the message that it causes are written together, and a message is taken out before it is sent. So
each is sent once, whichever dispatcher dies when. The folder is readable by its owner alone, as URLs hold secrets.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from core.run.errors import RunDirError
from core.run.fields import Count
from core.run.rundir import read_record_if_there, write_json
from s3tui.notify.targets import BELL
from s3tui.runs.workspace import Workspace
from s3tui.system.file_locks import locked

SUFFIX = ".json"


@dataclass(frozen=True)
class Notices:
    """Whom a suite notifies, and what there is to tell.

    `under_way` are the names of the runs and races that were last seen under way, and of the suite if it was. `waiting`
    are the messages that are yet to be sent, `count` is the number of all so far. `warning` says why the last one could
    not be sent, `warned` counts these.
    """

    to: tuple[str, ...]
    under_way: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    count: Count = 0
    warning: str = ""
    warned: Count = 0

    @property
    def services(self) -> tuple[str, ...]:
        """The targets to which messages are sent; bells are rung by those who have a terminal."""
        return tuple(target for target in self.to if target != BELL)


@dataclass(frozen=True)
class Standing:
    """How the parts of a suite stand, by name: those under way, those that have ended, and all that there are.

    `ended` has what is to be told of each, empty for nothing. A part that is neither, as a paused run, was stopped by
    the user: it stays what it was last.
    """

    under_way: Set[str]
    ended: Mapping[str, str]
    known: Set[str]


def noted(notices: Notices, now: Standing, summed: Callable[[list[str]], list[str]]) -> Notices:
    """The record after a look at the suite: who was seen under way and has ended is told, `summed` up."""
    before = set(notices.under_way)
    news = summed([text for name, text in now.ended.items() if name in before and text])
    under_way = ((before & now.known) | now.under_way) - now.ended.keys()
    return replace(
        notices,
        under_way=tuple(sorted(under_way)),
        waiting=(*notices.waiting, *(news if notices.services else ())),
        count=notices.count + len(news),
    )


def folder_of(workspace: Workspace) -> Path:
    """The folder with the records of all suites that notify anybody."""
    return workspace.shared / "notify"


def file_of(workspace: Workspace, suite: str) -> Path:
    """The record of a suite."""
    return folder_of(workspace) / f"{suite}{SUFFIX}"


def suites_that_notify(workspace: Workspace) -> list[str]:
    """The suites that have a record, sorted; none where the folder is somebody else's."""
    try:
        names = [path.name for path in folder_of(workspace).iterdir()]
    except OSError:
        return []
    return sorted(name[: -len(SUFFIX)] for name in names if name.endswith(SUFFIX) and not name.startswith("."))


def read_notices(workspace: Workspace, suite: str) -> Notices | None:
    """The record of a suite; None if there is none, or it is damaged: then nobody is notified."""
    try:
        return read_record_if_there(file_of(workspace, suite), Notices)
    except RunDirError:
        return None


@contextlib.contextmanager
def changing(workspace: Workspace) -> Iterator[None]:
    """Hold the lock under which records are changed."""
    with locked(folder_of(workspace) / "lock"):
        yield


def change(workspace: Workspace, suite: str, how: Callable[[Notices], Notices]) -> Notices | None:
    """Replace a record by `how(record)`, under the lock; None if there is none."""
    with changing(workspace):
        before = read_notices(workspace, suite)
        after = how(before) if before is not None else None
        if after is not None and after != before:
            write_json(file_of(workspace, suite), {"v": 1} | asdict(after))
    return after


def set_targets(workspace: Workspace, suite: str, to: tuple[str, ...]) -> None:
    """Have a suite notify these from now on; what waits to be sent is kept, and a warning may be repeated."""
    file = file_of(workspace, suite)
    if not to:
        file.unlink(missing_ok=True)
        return
    file.parent.mkdir(mode=0o700, exist_ok=True)
    with changing(workspace):
        before = read_notices(workspace, suite) or Notices(to)
        write_json(file, {"v": 1} | asdict(replace(before, to=to, warning="")))
