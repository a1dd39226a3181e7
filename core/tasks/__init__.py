"""What is learned: tasks by name and from files, and their metrics.

Importing this loads neither torch nor datasets; `core.tasks.batches` is where tensors begin.
"""

from __future__ import annotations

from collections.abc import Callable

from core.run.errors import SpecError, nearest
from core.run.spec import FileTask, NamedTask
from core.tasks import files, icd10, named
from core.tasks.task import Example, Kind, Split, Task

__all__ = ["NAMED", "Example", "Kind", "Split", "Task", "load_task"]

# The names are repeated in core.run.tasknames, which the manager reads.
NAMED: dict[str, Callable[[NamedTask, int], Task]] = {
    "icd10-chapter": icd10.load,
    **dict.fromkeys(named.TABLE, named.load),
}


def load_task(spec: NamedTask | FileTask, data_seed: int) -> Task:
    """Load a task's examples. Equal settings and seed give equal rows in equal order, on every machine.

    `data_seed` decides what is drawn and how it is split, never the seed of a run. Raises SpecError for an
    unknown name, DataError where the data are missing or not of the form that was asked for.
    """
    if isinstance(spec, FileTask):
        return files.load(spec, data_seed)
    if spec.name not in NAMED:
        raise SpecError(f"unknown task {spec.name!r}", nearest(spec.name, NAMED))
    return NAMED[spec.name](spec, data_seed)
