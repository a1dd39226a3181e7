"""`python -m core.preview < QUESTIONS`: what there is to say of data before anything is trained on them, as JSON.

QUESTIONS is a JSON list. `{"task": ..., "data_seed": ..., "models": [...]}`, each task as its settings dump it, asks
for a look at a task (`core.tasks.preview`), `{"columns": PATH}` for what the columns of a file look like
(`core.tasks.columns`). The answers are a list, too. Torch is not loaded, and the hub is not asked.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from core.run.errors import EXIT_OK
from core.run.spec import FileTask, NamedTask, TaskSpec
from core.tasks.columns import describe
from core.tasks.preview import preview

TASK: TypeAdapter[NamedTask | FileTask] = TypeAdapter(TaskSpec)


def main() -> int:
    """Answer the questions on stdin."""
    print(json.dumps([_answer(question) for question in json.load(sys.stdin)]))
    return EXIT_OK


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    if "columns" in question:
        return describe(Path(question["columns"]))
    return preview(TASK.validate_python(question["task"]), question["data_seed"], question["models"])


if __name__ == "__main__":
    sys.exit(main())
