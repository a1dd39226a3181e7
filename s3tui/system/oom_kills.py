"""The number of processes that the kernel has killed because memory ran out."""

from __future__ import annotations

from pathlib import Path


def kernel_kills() -> int:
    """The count of this process's control group, or that of the machine if the group has none.

    A worker is in the group of its supervisor, so a count that rises while a worker is killed shows the cause.
    """
    try:
        groups = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        groups = []
    for line in groups:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            found = _count(Path("/sys/fs/cgroup") / path.lstrip("/") / "memory.events")
        elif controllers == "memory":
            found = _count(Path("/sys/fs/cgroup/memory") / path.lstrip("/") / "memory.oom_control")
        else:
            continue
        if found is not None:
            return found
    return _count(Path("/proc/vmstat")) or 0


def _count(path: Path) -> int | None:
    """The number on the line `oom_kill`; None if there is no such file or line."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)
