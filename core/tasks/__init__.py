"""What is learned: tasks by name and from files, and their metrics.

Importing this loads neither torch nor datasets; `core.tasks.batches` is where tensors begin.
"""

from __future__ import annotations

from core.run.errors import SpecError, nearest
from core.run.plugins import resolve
from core.run.spec import FileTask, NamedTask
from core.run.tasks import TASKS, Kind
from core.tasks import files
from core.tasks.task import Example, Split, Task

__all__ = ["Example", "Kind", "Split", "Task", "load_task"]


def load_task(spec: NamedTask | FileTask, data_seed: int) -> Task:
    """Load a task's examples. Equal settings and seed give equal rows in equal order, on every machine.

    `data_seed` decides what is drawn and how it is split, never the seed of a run. Raises SpecError for an
    unknown name, DataError where the data are missing or not of the form that was asked for.
    """
    if isinstance(spec, FileTask):
        return files.load(spec, data_seed)
    if spec.name not in TASKS:
        raise SpecError(f"unknown task {spec.name!r}", nearest(spec.name, TASKS))
    task: Task = resolve(TASKS[spec.name].load, f"task {spec.name!r}")(spec, data_seed)
    return task
