"""What a launcher is: a place where runs are started, watched and ended. This machine is one, a cluster another.

A launcher that hands its runs to a queue of jobs derives from `s3tui.launchers.job_launcher.JobLauncher`, which keeps
the records and leaves little to write; `tests/launchers/folder_launcher.py` is a whole one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from core.run.errors import RunDirError
from s3tui.runs.records.queue import Queue
from s3tui.runs.workspace import FoundRun, Workspace
from s3tui.system.child import PYTHON

if TYPE_CHECKING:
    from pydantic import BaseModel

    from s3tui.devices.placement import Gpu
    from s3tui.runs.index import Board

Options = Mapping[str, Any]  # of a `[launcher]` table, or of a queue file: what a launcher's `settings` take

WORKER = (*PYTHON, "-m", "core")
GRACE_SECONDS = 60.0  # what a worker has to end its step and leave a checkpoint before it is killed


class RefusedError(RunDirError):
    """A run is in no state for what was asked."""


class Planned(Protocol):
    """A run that is queued or about to be: its name and its queue entry."""

    @property
    def name(self) -> str:
        """Its name in its workspace or suite."""

    @property
    def queue(self) -> Queue | None:
        """What is wanted of it; its `launch` has the options of its launcher."""


@dataclass(frozen=True)
class Context:
    """What a dispatcher gives to its launchers.

    `worker` is the command to which the directory of a run is added, `grace` the seconds that it has to leave a
    checkpoint. `begun` is to be called once for each attempt whose worker begins, `failed` with a reason for one that
    ended before it began and left nothing in the files of its run. `gpus` are those of this machine.
    """

    board: Board
    worker: Sequence[str]
    grace: float
    begun: Callable[[FoundRun], None]
    failed: Callable[[FoundRun, str], None]
    gpus: Callable[[], Sequence[Gpu]]


@dataclass
class Started:
    """What became of runs that were to start: the names of those that were, and why each other one waits.

    `impossible` are those of the waiting that can never start here.
    """

    started: set[str] = field(default_factory=set)
    reasons: dict[str, str] = field(default_factory=dict)
    impossible: set[str] = field(default_factory=set)


class Session(Protocol):
    """One launcher while a dispatcher lives. All it knows follows from files and from what the launcher can ask, so
    that it adopts what was started by a dispatcher that died. Any call may raise OSError, which is tried again."""

    @property
    def trouble(self) -> str:
        """Why the launcher does not answer; empty while it does."""

    def look(self) -> set[str]:
        """Write down what has happened since the last look; the names of the runs that have changed."""

    def enforce(self) -> None:
        """Stop, cancel, hold and release what is not yet as its queue entry wants it."""

    def start(self, runs: Sequence[FoundRun]) -> Started:
        """Start runs, which are in the order of their turn, as far as there is room."""

    def is_open(self, run: FoundRun) -> bool:
        """Whether the launcher has yet to report the end of a run, or to be asked something about it."""


class Launcher(Protocol):
    """A kind of place where runs are started. It has no state: dispatchers, commands and the app make their own."""

    @property
    def name(self) -> str:
        """Its name: `kind` in `[launcher]`, and in the records of its runs."""

    def settings(self) -> type[BaseModel] | None:
        """The keys that its `[launcher]` table takes beside `kind`, as a pydantic model; None for none.

        Keys that a table leaves out are not in the options either.
        """

    def unavailable(self) -> str:
        """Why nothing can be started there from this machine; empty where it can."""

    def about(self) -> str:
        """What `s3tui doctor` says of it where it is available."""

    def refusals(self, options: Sequence[Options]) -> Iterable[str]:
        """What it would refuse of runs with such options, found out before anything is queued."""

    def preview(self, workspace: Workspace, runs: Sequence[Planned]) -> Iterator[str]:
        """What would be submitted for these runs, as texts to read."""

    def session(self, context: Context) -> Session:
        """What a dispatcher works with."""

    def stop(self, run: FoundRun, at_once: bool) -> str:
        """Stop a run through a checkpoint, or at once; keep it from starting. The queue entry says so already.

        Gives what was done, as "stopped"; where nothing can be done now, what will be, once the session enforces it.
        """

    def cancel(self, run: FoundRun) -> str:
        """End a run at once with all that it has started; gives what was done."""

    def release(self, run: FoundRun) -> str:
        """Let a run go on that is held in the launcher's own queue; gives what was done."""

    def set_priority(self, run: FoundRun, priority: int) -> str:
        """Have a waiting run start earlier or later than others; why that is refused, empty where it is not."""

    def wait(
        self, workspace: Workspace, runs: Sequence[FoundRun], at_once: bool, hurry: Callable[[], bool]
    ) -> list[FoundRun]:
        """Wait until runs that were asked to end have ended, no longer once `hurry()`; gives those that live on."""

    def refresh(self, workspace: Workspace, runs: Sequence[FoundRun]) -> Set[str]:
        """Bring the records of runs up to date where there is no dispatcher; the names of those that have changed."""

    def leftovers(self, workspace: Workspace, runs: Sequence[FoundRun]) -> Iterator[Path]:
        """Files of its own in a workspace that no run needs any more; `runs` are all of the workspace."""
