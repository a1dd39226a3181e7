"""The names of the tasks that need no file, so that an unknown one is refused without loading any of them."""

from __future__ import annotations

TASK_NAMES = ("icd10-chapter",)
