"""`python -m core.preview < REQUESTS`: summaries of data before training, as JSON.

REQUESTS is a JSON list. `{"task": ..., "data_seed": ..., "readers": [...]}`, with the task as its settings are dumped
and each reader as `core.run.reader` does, requests the summary of a task (`core.tasks.preview`), `{"columns": PATH}`
the columns of a file (`core.tasks.columns`). The answers are a list in the same order. Torch is not loaded, and nothing
is downloaded.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from core.run.errors import EXIT_OK
from core.run.reader import Reader
from core.run.task_spec import FileTask, NamedTask, TaskSpec
from core.tasks.columns import describe
from core.tasks.preview import preview

TASK: TypeAdapter[NamedTask | FileTask] = TypeAdapter(TaskSpec)


def main() -> int:
    """Answer the requests on stdin."""
    print(json.dumps([_answer(question) for question in json.load(sys.stdin)]))
    return EXIT_OK


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    if "columns" in question:
        return describe(Path(question["columns"]))
    readers = [Reader(**reader) for reader in question["readers"]]
    return preview(TASK.validate_python(question["task"]), question["data_seed"], readers)


if __name__ == "__main__":
    sys.exit(main())
