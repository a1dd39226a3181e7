"""The cores that this process may use."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """The cores that this process may run on."""
    return len(os.sched_getaffinity(0))
