"""The launcher of this machine: a run is a supervisor in a session of its own, which outlives its starter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING

from s3tui.launchers.base import Context, Options, Planned, Session
from s3tui.launchers.local_session import LocalSession
from s3tui.launchers.processes import request_end, wait_for_end
from s3tui.runs.records.launch import LOCAL
from s3tui.runs.status import Quiet, Running
from s3tui.runs.workspace import FoundRun, Workspace

if TYPE_CHECKING:
    from pydantic import BaseModel


class Local:
    """Runs on this machine. There is no job: `process.json`, `exit.json` and locks say how a run stands."""

    name = LOCAL

    def settings(self) -> type[BaseModel] | None:
        """It takes no options: `resources` of a run say what it needs of the machine."""
        return None

    def unavailable(self) -> str:
        """It is always there."""
        return ""

    def about(self) -> str:
        """Its devices are reported by themselves."""
        return ""

    def refusals(self, options: Sequence[Options]) -> Sequence[str]:
        """It refuses nothing beforehand."""
        return ()

    def preview(self, workspace: Workspace, runs: Sequence[Planned]) -> Iterator[str]:
        """Nothing is submitted."""
        yield from ()

    def session(self, context: Context) -> Session:
        """Places runs on the devices and cores of this machine."""
        return LocalSession(context)

    def stop(self, run: FoundRun, at_once: bool) -> str:
        """Signal the processes of a run."""
        return _end(run, at_once) or "held"

    def cancel(self, run: FoundRun) -> str:
        """End all processes of a run."""
        _end(run, at_once=True)
        return "cancelled"

    def release(self, run: FoundRun) -> str:
        """Nothing is held but in the queue file."""
        return "queued"

    def set_priority(self, run: FoundRun, priority: int) -> str:
        """The queue file says all."""
        return ""

    def wait(
        self, workspace: Workspace, runs: Sequence[FoundRun], at_once: bool, hurry: Callable[[], bool]
    ) -> list[FoundRun]:
        """Wait for processes, and kill those that do not end within their grace."""
        return wait_for_end(runs, at_once, hurry)

    def refresh(self, workspace: Workspace, runs: Sequence[FoundRun]) -> Set[str]:
        """Processes and locks are looked at whenever a run is read."""
        return frozenset()

    def leftovers(self, workspace: Workspace, runs: Sequence[FoundRun]) -> Iterator[Path]:
        """It keeps nothing beside the runs."""
        yield from ()


def _end(run: FoundRun, at_once: bool) -> str:
    """Ask the processes of a run to end; empty where there are none."""
    if not isinstance(run.status, (Running, Quiet)):
        return ""
    # A run that is about to start is asked by the session of its dispatcher, once it has a process.
    if run.status.process is not None:
        request_end(run.status.process, at_once)
    return "killed" if at_once else "stopped"
