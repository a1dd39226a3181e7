"""A workspace: the runs under one folder, and in `.s3tui` what its processes share. Damage is told, never fatal."""

from __future__ import annotations

import os
from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.run.errors import RunDirError
from core.run.fields import Moment
from core.run.rundir import RunDir, read_record, write_json
from s3tui.runs.gather import last_attempt, read_status
from s3tui.runs.records.job import Job
from s3tui.runs.records.queue import Queue, QueueFiles, read_queue
from s3tui.runs.records.settings import read_spec, read_summary
from s3tui.runs.status import Damaged, Quiet, Running, Status, attempt_of
from s3tui.system.file_locks import is_locked
from s3tui.system.process_identity import Pid

RUN_DEPTHS = ("*", "*/*", "*/*/*")  # a run lies in SUITE/EXPERIMENT or in SUITE/EXPERIMENT/MATRIX


@dataclass(frozen=True)
class FoundRun:
    """A run of a workspace; `name` is its path there. `spec` and `summary` are as they are in the files.

    `job` is that of the last attempt, where that was given to a cluster; `attempt` identifies the attempt.
    """

    name: str
    directory: RunDir
    queue: Queue | None
    status: Status
    spec: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    job: Job | None = None
    attempt: str = ""

    @property
    def suite(self) -> str:
        """The suite that it belongs to."""
        return self.name.partition("/")[0]


@dataclass(frozen=True)
class _Dispatcher:
    """Who holds the lock of a workspace, as it says itself."""

    pid: Pid
    host: str
    since: Moment


@dataclass(frozen=True)
class Workspace:
    """The folder of all suites."""

    path: Path

    @property
    def shared(self) -> Path:
        """What the processes of the workspace share."""
        return self.path / ".s3tui"

    @property
    def lock(self) -> Path:
        """Held by the dispatcher; it says who that is."""
        return self.shared / "dispatcher.lock"

    @property
    def dispatcher_log(self) -> Path:
        """What a detached dispatcher prints."""
        return self.shared / "dispatcher.log"

    @property
    def submitting(self) -> Path:
        """Locked while a suite is put into the queue."""
        return self.shared / "submit.lock"

    @property
    def waiting(self) -> Path:
        """Why each waiting run waits, as its dispatcher sees it."""
        return self.shared / "waiting.json"

    @property
    def pause(self) -> Path:
        """There while the whole queue is paused."""
        return self.shared / "paused"

    @property
    def leases(self) -> Path:
        """The locks of the devices of this machine."""
        return self.shared / "leases" / os.uname().nodename

    def of_launcher(self, name: str) -> Path:
        """The folder in which a launcher keeps what it needs, as batch scripts with links to their runs."""
        return self.shared / name

    @property
    def queue(self) -> QueueFiles:
        """What is wanted of the runs."""
        return QueueFiles(self.path)

    def run(self, name: str) -> RunDir:
        """The directory of a run."""
        return RunDir(self.path / name)

    def names(self, known: Set[str] = frozenset()) -> list[str]:
        """The names of all runs, sorted. Those of `known` are not looked into: their folders are runs, where they are
        there."""
        return sorted(_names(self.path, known))

    def reasons(self) -> dict[str, str]:
        """Why each waiting run waits; empty where no dispatcher has said."""
        try:
            return read_record(self.waiting, dict[str, str])
        except RunDirError:
            return {}

    def dispatcher(self) -> dict[str, Any] | None:
        """Who dispatches the runs of this workspace now; None where nobody does."""
        if not is_locked(self.lock):
            return None
        try:
            return vars(read_record(self.lock, _Dispatcher))
        except RunDirError:
            return {"pid": 0, "host": "", "since": 0.0}  # it has the lock and is about to say who it is

    @property
    def is_made(self) -> bool:
        """Whether a suite was ever run here: what its processes share is there, or a run is."""
        return self.shared.is_dir() or any(True for depth in RUN_DEPTHS for _ in self.path.glob(f"{depth}/spec.json"))

    def make_writable(self) -> None:
        """See that we may change what is here; raises RunDirError where we may not, or where there is no workspace."""
        if not self.is_made:
            raise no_workspace(self.path)
        self.make()

    def make(self) -> None:
        """Make the folders, as `run` alone does where there are none; raises RunDirError where we may only read."""
        try:
            self.shared.mkdir(parents=True, exist_ok=True)
            _check_owner(self.path)
            _check_owner(self.shared)
        except OSError as error:
            raise RunDirError(f"{self.path} cannot be written to: {error.strerror}", "name another workspace") from None
        if not os.access(self.shared, os.W_OK | os.X_OK):
            raise RunDirError(f"{self.path} is read-only", "you can look at its runs, not change them")

    def note_reasons(self, reasons: dict[str, str]) -> None:
        """Write down why runs wait."""
        write_json(self.waiting, reasons)


def no_workspace(path: Path) -> RunDirError:
    """What is said of a folder that is no workspace."""
    return RunDirError(f"{path} is no workspace", "s3tui run FILE makes one")


def _check_owner(path: Path) -> None:
    owner = path.stat().st_uid
    if owner != os.geteuid():
        import pwd

        try:
            name = pwd.getpwuid(owner).pw_name
        except KeyError:
            name = f"user {owner}"
        raise RunDirError(f"{path} belongs to {name} and is read-only to you", "name a workspace of your own")


def find_runs(folder: Path) -> list[FoundRun]:
    """Every run under a folder, by name."""
    names = sorted(_names(folder), key=lambda name: name.split("/"))
    return [read_run(RunDir(folder / name), name) for name in names]


def _names(folder: Path, known: Set[str] = frozenset()) -> Iterator[str]:
    """The names of all runs under a folder. Links are not followed: they may lead anywhere."""
    waiting = ["."]
    while waiting:
        name = waiting.pop()
        if name in known:
            yield name
            continue
        try:
            with os.scandir(f"{folder}/{name}") as entries:
                found = list(entries)
        except OSError:
            continue
        # A run holds no runs, which spares a look into its checkpoints. Hidden folders are being deleted.
        if any(entry.name in ("spec.json", "queue.json") for entry in found):
            yield name
        else:
            folders = (e.name for e in found if e.is_dir(follow_symlinks=False) and not e.name.startswith("."))
            waiting += folders if name == "." else (f"{name}/{inner}" for inner in folders)


def read_run(directory: RunDir, name: str) -> FoundRun:
    """One run, whatever state its files are in."""
    try:
        queue = read_queue(directory)
    except RunDirError as error:
        return FoundRun(name, directory, None, Damaged(str(error)), attempt=last_attempt(directory))
    facts, status = read_status(directory, queue)
    damaged = isinstance(status, Damaged)
    job, attempt = facts.job, last_attempt(directory) if damaged else attempt_of(facts.process, facts.job)
    try:
        spec, summary = read_spec(directory), read_summary(directory)
    except RunDirError as error:
        # A worker that lives has read the one, and writes the other every other second.
        living = isinstance(status, (Running, Quiet))
        status = status if living else Damaged(str(error))
        return FoundRun(name, directory, queue, status, job=job, attempt=attempt)
    return FoundRun(name, directory, queue, status, spec, summary, job, attempt)
