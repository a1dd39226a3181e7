"""Runs as batches of jobs: those that ask for the same are submitted together."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from core.run.rundir import RunDir
from s3tui.launchers.base import Options, Planned
from s3tui.launchers.job_reports import JobRefusedError
from s3tui.runs.records.job import Job, forget_job, write_job
from s3tui.runs.records.queue import Queue

R = TypeVar("R", bound=Planned)


@dataclass(frozen=True)
class Batch:
    """Jobs that are submitted together. `folder` has a link to the directory of each run, named 0, 1, ... `tasks`.

    `worker` and `grace` are those of `Context`; the name of the folder identifies the batch.
    """

    folder: Path
    tasks: int
    options: Options
    priority: int
    worker: Sequence[str]
    grace: float

    @property
    def name(self) -> str:
        """Identifies the batch in its cluster and in `job.json`."""
        return self.folder.name


Key = tuple[str, int]  # options as JSON, and the priority


def grouped(runs: Iterable[R], most: int) -> Iterator[tuple[Key, list[R]]]:
    """Runs that ask for the same, in their order and at most so many together."""
    alike: dict[Key, list[R]] = {}
    for run in runs:
        queue = run.queue or Queue()
        alike.setdefault((json.dumps(queue.launch.options, sort_keys=True), queue.priority), []).append(run)
    for key, group in alike.items():
        for start in range(0, len(group), most):
            yield key, group[start : start + most]


def submit_batch(launcher: str, parent: Path, runs: Sequence[RunDir], submit: Callable[[Path], Sequence[str]]) -> str:
    """Submit runs as one batch; what the cluster says against it, empty if nothing.

    Each run knows its batch before the cluster does, so that none is lost or submitted twice whenever we are killed.
    """
    name = secrets.token_hex(4)
    jobs = [Job(launcher, name, task) for task in range(len(runs))]
    for run, job in zip(runs, jobs, strict=True):
        write_job(run, job)
    folder = parent.resolve() / name
    try:
        _fill(folder, runs)
        ids = submit(folder)
    except (JobRefusedError, OSError) as error:
        for run in runs:
            forget_job(run)
        shutil.rmtree(folder, ignore_errors=True)
        return str(error)
    for run, job, id in zip(runs, jobs, ids, strict=True):
        write_job(run, replace(job, id=id, state="SUBMITTED"))
    return ""


def _fill(folder: Path, runs: Sequence[RunDir]) -> None:
    folder.mkdir(parents=True)
    for task, run in enumerate(runs):
        (folder / str(task)).symlink_to(run.path.resolve())
        with contextlib.suppress(FileExistsError):
            run.log.touch(exist_ok=False)
