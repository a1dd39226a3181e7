"""`python -m core.preview < TASKS`: what there is to say of the data of tasks before they are trained on, as JSON.

TASKS is a JSON list of `{"task": ..., "data_seed": ..., "models": [...]}`, each task as its settings dump it. The answer
is a list of what `core.tasks.preview` says of each. Torch is not loaded, and the hub is not asked.
"""

from __future__ import annotations

import json
import sys

from pydantic import TypeAdapter

from core.run.errors import EXIT_OK
from core.run.spec import FileTask, NamedTask, TaskSpec
from core.tasks.preview import preview


def main() -> int:
    """Look at the tasks that stdin names."""
    read: TypeAdapter[NamedTask | FileTask] = TypeAdapter(TaskSpec)
    asked = json.load(sys.stdin)
    looks = [preview(read.validate_python(one["task"]), one["data_seed"], one["models"]) for one in asked]
    print(json.dumps(looks))
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
