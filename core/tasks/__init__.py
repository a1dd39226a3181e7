"""Tasks, named ones and those from the user's files: loading, splitting, tokenising, metrics.

Importing this package loads neither torch nor datasets; modules that need tensors are imported separately.
"""

from __future__ import annotations

from core.run.errors import SpecError, nearest
from core.run.plugins import resolve
from core.run.task_spec import FileTask, NamedTask
from core.run.tasks import TASKS, Kind
from core.tasks import files
from core.tasks.task import Example, Split, Task

__all__ = ["Example", "Kind", "Split", "Task", "load_task"]


def load_task(spec: NamedTask | FileTask, data_seed: int) -> Task:
    """Load a task's examples. Equal settings and seed give equal rows in equal order, on every machine.

    `data_seed`, not the seed of the run, decides sampling and splits. Raises SpecError for an unknown name, DataError
    if the data are missing or malformed.
    """
    if isinstance(spec, FileTask):
        return files.load(spec, data_seed)
    if spec.name not in TASKS:
        raise SpecError(f"unknown task {spec.name!r}", nearest(spec.name, TASKS))
    task: Task = resolve(TASKS[spec.name].load, f"task {spec.name!r}")(spec, data_seed)
    return task
