"""What launchers share that hand runs to a queue of jobs; left to write is how their cluster is asked.

A run is a task of a batch, and its `job.json` holds what the cluster last reported of it. On its node a task does
`python -m s3tui.launchers.job_task`, or calls `run_task` there.
"""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from core.run.errors import RunDirError
from core.run.rundir import RunDir
from s3tui.launchers.base import GRACE_SECONDS, WORKER, Context, Options, Planned, Session
from s3tui.launchers.job_batches import Batch, grouped
from s3tui.launchers.job_reports import Answer, Report, Request
from s3tui.launchers.job_session import JobSession
from s3tui.launchers.job_sync import living, may_ask, record, record_lost
from s3tui.launchers.processes import POLL_SECONDS, grace_of
from s3tui.runs.records.job import Job, read_job, write_job
from s3tui.runs.workspace import FoundRun, Workspace

if TYPE_CHECKING:
    from pydantic import BaseModel

PATIENCE_SECONDS = 5.0  # of a command that only looks
END_SECONDS = 60.0  # for a cluster to end a job beyond the grace of its worker
DONE: dict[Request, str] = {
    "kill": "killed", "stop": "stopped", "hold": "held", "cancel": "cancelled", "release": "queued",
}  # fmt: skip


class JobLauncher(ABC):
    """A launcher whose cluster has a queue of its own. `title` is its name for people."""

    name: ClassVar[str]
    title: ClassVar[str]
    most_tasks: ClassVar[int] = 1000  # of one batch

    @abstractmethod
    def settings(self) -> type[BaseModel] | None:
        """The keys of its `[launcher]` table, see `Launcher.settings`."""

    @abstractmethod
    def unavailable(self) -> str:
        """Why nothing can be submitted from this machine; empty where it can."""

    @abstractmethod
    def submit(self, batch: Batch) -> Sequence[str]:
        """Submit a batch; the id of each task, in order. Raises JobRefusedError where the cluster refuses it."""

    @abstractmethod
    def ask(self, seconds: float) -> Answer:
        """Ask for all jobs of this user, those that ended a moment ago too, and wait so long for the answer."""

    @abstractmethod
    def send(self, job: Job, request: Request) -> str:
        """Ask something of a job; what the cluster says against it, empty where it obeys.

        "stop" asks the supervisor for a checkpoint, "kill" to end at once, "cancel" ends the job whatever its phase.
        "hold" keeps a waiting job from beginning until "release".
        """

    def about(self) -> str:
        """What `s3tui doctor` says of it."""
        return "answers"

    def look_up(self, ids: Sequence[str]) -> Mapping[str, Report]:
        """What the accounts of the cluster say of jobs that are in no answer any more."""
        return {}

    def refusals(self, options: Sequence[Options]) -> Iterable[str]:
        """What the cluster would refuse of jobs with such options."""
        return ()

    def script(self, batch: Batch) -> str:
        """What would be submitted, as a text to read."""
        return json.dumps(dict(batch.options), indent=1)

    def set_job_priority(self, job: Job, priority: int) -> str:
        """Have a waiting job start earlier or later; what the cluster says against it."""
        return ""

    def session(self, context: Context) -> Session:
        """Keeps the records of jobs up to date, and submits."""
        return JobSession(self, context)

    def preview(self, workspace: Workspace, runs: Sequence[Planned]) -> Iterator[str]:
        """One text for each batch, with the runs that are its tasks."""
        folder = workspace.of_launcher(self.name) / "BATCH"  # stands for what identifies a batch
        for (options, priority), group in grouped(runs, self.most_tasks):
            batch = Batch(folder, len(group), json.loads(options), priority, WORKER, GRACE_SECONDS)
            tasks = "\n".join(f"# task {task}: {run.name}" for task, run in enumerate(group))
            yield f"{self.script(batch)}\n{tasks}\n"

    def stop(self, run: FoundRun, at_once: bool) -> str:
        """Ask the job to end, or hold it where it waits."""
        return self._request(run, "kill" if at_once else "stop", "hold")

    def cancel(self, run: FoundRun) -> str:
        """Cancel the job."""
        return self._request(run, "cancel", "cancel")

    def release(self, run: FoundRun) -> str:
        """Release a job that is held."""
        return self._request(run, "release", "release")

    def _request(self, run: FoundRun, working: Request, waiting: Request) -> str:
        """Ask what the queue entry says already; where the cluster does not answer now, the session asks again."""
        assert run.job is not None
        request = waiting if run.job.waits else working
        if not run.job.id:
            return f"{DONE[request]} once {self.title} has it"
        refusal = self.request(run.directory, run.job, request)
        return f"{DONE[request]} once {self.title} hears of it: {refusal}" if refusal else DONE[request]

    def request(self, directory: RunDir, job: Job, request: Request) -> str:
        """Ask something of a job, and note where it is held; what the cluster says against it."""
        refusal = self.send(job, request)
        if not refusal and request in ("hold", "release"):
            write_job(directory, replace(read_job(directory) or job, held=request == "hold"))
        return refusal

    def set_priority(self, run: FoundRun, priority: int) -> str:
        """Pass a priority on to a job that waits."""
        if run.job is None or not run.job.waits or not run.job.id:
            return ""
        refusal = self.set_job_priority(run.job, priority)
        return f"{self.title} refuses it: {refusal}" if refusal else ""

    def wait(
        self, workspace: Workspace, runs: Sequence[FoundRun], at_once: bool, hurry: Callable[[], bool]
    ) -> list[FoundRun]:
        """Wait until jobs have ended; the cluster kills what does not, by its own clock."""
        deadline = time.monotonic() + max(map(grace_of, runs), default=0.0) + END_SECONDS
        while runs and time.monotonic() < deadline and not hurry():
            self.refresh(workspace, runs)
            runs = [run for run in runs if _is_working(run.directory)]
            time.sleep(POLL_SECONDS)
        return list(runs)

    def refresh(self, workspace: Workspace, runs: Sequence[FoundRun]) -> Set[str]:
        """Ask the cluster unless somebody did a moment ago. One that does not answer changes nothing."""
        runs = living(runs, self.name)
        if not runs or not may_ask(workspace.of_launcher(self.name) / "asked"):
            return set()
        answer = self.ask(PATIENCE_SECONDS)
        if answer.trouble:
            return set()
        changed, missing = record(answer, runs)
        record_lost(missing, self.look_up([run.job.id for run in missing if run.job is not None and run.job.id]))
        return changed | {run.name for run in missing}

    def leftovers(self, workspace: Workspace, runs: Sequence[FoundRun]) -> Iterator[Path]:
        """The folders of batches of which no job lives."""
        needed = {run.job.batch for run in living(runs, self.name) if run.job is not None}
        folder = workspace.of_launcher(self.name)
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.is_dir() and not path.is_symlink() and path.name not in needed:
                yield path


def _is_working(directory: RunDir) -> bool:
    try:
        job = read_job(directory)
    except RunDirError:
        return False
    return job is not None and job.phase == "working"
