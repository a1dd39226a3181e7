"""The number of CPU cores that this process may use."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """The number of CPU cores in the affinity mask of this process."""
    return len(os.sched_getaffinity(0))
