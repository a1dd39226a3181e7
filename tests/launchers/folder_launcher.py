"""A launcher as another package brings one: all that it has to write, apart from its cluster, `folder_daemon.py`.

Its cluster is a folder in which a daemon finds jobs and requests, and leaves the state of each job.
"""

import os
from pathlib import Path

from core.run.rundir import read_json, write_json
from s3tui.launchers.job_launcher import JobLauncher
from s3tui.launchers.job_reports import Answer, JobRefusedError, Report
from s3tui.system.child import PYTHON
from s3tui.text.toml_types import Positive, Table


class FolderSettings(Table):
    """`slots` are those that a job takes of the daemon's."""

    slots: Positive = 1


class FolderLauncher(JobLauncher):
    name = "folder"
    title = "The folder"

    @property
    def root(self):
        return Path(os.environ["FOLDER_CLUSTER"])

    def settings(self):
        return FolderSettings

    def unavailable(self):
        return "" if "FOLDER_CLUSTER" in os.environ else "FOLDER_CLUSTER is not set"

    def submit(self, batch):
        if batch.options.get("slots", 1) > int((self.root / "slots").read_text()):
            raise JobRefusedError("no node has as many slots")
        ids = [f"{batch.name}.{task}" for task in range(batch.tasks)]
        for task, id in enumerate(ids):
            arguments = [str(batch.folder / str(task)), batch.name, id, str(batch.grace), *batch.worker]
            command = [*PYTHON, "-m", "s3tui.launchers.job_task", *arguments]
            job = {"command": command, "priority": batch.priority, "slots": batch.options.get("slots", 1)}
            write_json(self.root / "jobs" / id, job)
        return ids

    def ask(self, seconds):
        states = (path for path in (self.root / "states").iterdir() if not path.name.startswith("."))
        return Answer({path.name: Report(**read_json(path)) for path in states})

    def send(self, job, request):
        (self.root / "requests" / f"{job.id}-{request}").touch()
        return ""
