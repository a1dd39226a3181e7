"""A workspace: the folder of all runs, with shared files of its processes in `.s3tui`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from core.run.errors import RunDirError
from core.run.fields import Moment
from core.run.rundir import RunDir, read_record, write_json
from core.run.searched import search_digest
from s3tui.runs.gather import last_attempt, read_status
from s3tui.runs.records.job import Job
from s3tui.runs.records.queue import Queue, QueueFiles, read_queue
from s3tui.runs.records.settings import read_spec, read_summary
from s3tui.runs.status import Damaged, Quiet, Running, Status, attempt_of
from s3tui.system.file_locks import is_locked
from s3tui.system.process_identity import Pid

RUN_DEPTHS = ("*", "*/*", "*/*/*")  # a run's folder is SUITE/EXPERIMENT or SUITE/EXPERIMENT/MATRIX


@dataclass(frozen=True)
class FoundRun:
    """A run of a workspace; `name` is its path there. `spec` and `summary` are the content of these files.

    `job` is that of the last attempt, if that was submitted to a cluster; `attempt` is the identifier of that attempt.
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
        """The suite to which it belongs."""
        return self.name.partition("/")[0]

    @cached_property
    def search_digest(self) -> str:
        """The digest of its search, which the dispatcher asks of every run at each look."""
        return search_digest(self.spec)


@dataclass(frozen=True)
class _Dispatcher:
    """The holder of the dispatcher lock, as written in its file."""

    pid: Pid
    host: str
    since: Moment


@dataclass(frozen=True)
class Workspace:
    """The folder of all suites."""

    path: Path

    @property
    def shared(self) -> Path:
        """The folder of files that the processes of the workspace share."""
        return self.path / ".s3tui"

    @property
    def lock(self) -> Path:
        """The dispatcher lock; its content names the holder."""
        return self.shared / "dispatcher.lock"

    @property
    def dispatcher_log(self) -> Path:
        """The output of a detached dispatcher."""
        return self.shared / "dispatcher.log"

    @property
    def submitting(self) -> Path:
        """The lock that is held while a suite is queued."""
        return self.shared / "submit.lock"

    @property
    def waiting(self) -> Path:
        """The file in which the dispatcher writes why each waiting run waits."""
        return self.shared / "waiting.json"

    @property
    def pause(self) -> Path:
        """The file that exists while the whole queue is paused."""
        return self.shared / "paused"

    @property
    def leases(self) -> Path:
        """The folder of device locks of this machine."""
        return self.shared / "leases" / os.uname().nodename

    def of_launcher(self, name: str) -> Path:
        """The folder in which a launcher keeps what it needs, as batch scripts with links to their runs."""
        return self.shared / name

    @property
    def queue(self) -> QueueFiles:
        """The queue records of the runs."""
        return QueueFiles(self.path)

    def run(self, name: str) -> RunDir:
        """The directory of a run."""
        return RunDir(self.path / name)

    def names(self, known: Set[str] = frozenset()) -> list[str]:
        """The names of all runs, sorted. Folders in `known` that exist are taken to be runs without reading them."""
        return sorted(_names(self.path, known))

    def reasons(self) -> dict[str, str]:
        """Why each waiting run waits, as written by the dispatcher."""
        try:
            return read_record(self.waiting, dict[str, str])
        except RunDirError:
            return {}

    def dispatcher(self) -> dict[str, Any] | None:
        """The current dispatcher of this workspace; None if there is none."""
        if not is_locked(self.lock):
            return None
        try:
            return vars(read_record(self.lock, _Dispatcher))
        except RunDirError:
            return {"pid": 0, "host": "", "since": 0.0}  # it has the lock and is about to write who it is

    @property
    def is_made(self) -> bool:
        """Whether this is a workspace: the shared folder or a run exists."""
        return self.shared.is_dir() or any(True for depth in RUN_DEPTHS for _ in self.path.glob(f"{depth}/spec.json"))

    def make_writable(self) -> None:
        """Raise RunDirError unless this is a workspace that we may change."""
        if not self.is_made:
            raise no_workspace(self.path)
        self.make()

    def make(self) -> None:
        """Create the folders if needed; raises RunDirError if the place is read-only to us."""
        try:
            self.shared.mkdir(parents=True, exist_ok=True)
            _check_owner(self.path)
            _check_owner(self.shared)
        except OSError as error:
            raise RunDirError(f"{self.path} cannot be written to: {error.strerror}", "name another workspace") from None
        if not os.access(self.shared, os.W_OK | os.X_OK):
            raise RunDirError(f"{self.path} is read-only", "you can look at its runs, not change them")

    def write_reasons(self, reasons: dict[str, str]) -> None:
        """Publish why each waiting run waits."""
        write_json(self.waiting, reasons)


def no_workspace(path: Path) -> RunDirError:
    """The error for a folder that is not a workspace."""
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
    """All runs under a folder, sorted by name."""
    names = sorted(_names(folder), key=lambda name: name.split("/"))
    return [read_run(RunDir(folder / name), name) for name in names]


def _names(folder: Path, known: Set[str] = frozenset()) -> Iterator[str]:
    """The names of all runs under a folder. Symbolic links are not followed."""
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
        # A run contains no runs, so its subfolders need not be searched. Hidden folders are being deleted.
        if any(entry.name in ("spec.json", "queue.json") for entry in found):
            yield name
        else:
            folders = (e.name for e in found if e.is_dir(follow_symlinks=False) and not e.name.startswith("."))
            waiting += folders if name == "." else (f"{name}/{inner}" for inner in folders)


def read_run(directory: RunDir, name: str) -> FoundRun:
    """Read one run; damaged files give the status Damaged."""
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
        # A live worker has read the settings, and rewrites the summary every other second.
        living = isinstance(status, (Running, Quiet))
        status = status if living else Damaged(str(error))
        return FoundRun(name, directory, queue, status, job=job, attempt=attempt)
    return FoundRun(name, directory, queue, status, spec, summary, job, attempt)
