"""Unique identity of a process: PID, start time and boot, as PIDs are reused."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from core.run.fields import Between, Count

Pid = Annotated[int, Between(1, 2**31 - 1)]  # the range of the kernel
COOKIE = "S3TUI_RUN"  # the environment variable of a worker and its descendants with the run's directory


@dataclass(frozen=True)
class Identity:
    """The identity of a process; `start` is in clock ticks since the boot `boot`."""

    pid: Pid
    start: Count
    boot: str


@lru_cache(maxsize=1)
def this_boot() -> str:
    """The unique id of the current boot of this machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def this_host() -> str:
    """The host name of this machine, for display."""
    return os.uname().nodename


def identity_of(pid: int) -> Identity | None:
    """The identity of the process with this PID; None if there is none, or only a zombie."""
    found = _state_and_start(pid)
    return None if found is None or found[0] in "ZX" else Identity(pid, found[1], this_boot())


def _state_and_start(pid: int) -> tuple[str, int] | None:
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:  # noqa: PTH123 - looked at many times a second
            fields = file.read().rpartition(b")")[2].split()
        return fields[0].decode(), int(fields[19])
    except (OSError, IndexError, ValueError):
        return None


def is_alive(identity: Identity) -> bool:
    """Whether exactly this process is alive, on this machine and in this boot."""
    return identity.boot == this_boot() and identity_of(identity.pid) == identity


def send(identity: Identity, number: signal.Signals) -> bool:
    """Send a signal to exactly this process; False if it is gone."""
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(identity.pid)
        try:
            # Checked while the pidfd is open: it cannot refer to another process.
            if not is_alive(identity):
                return False
            signal.pidfd_send_signal(handle, number)
            return True
        finally:
            os.close(handle)
    return False


def kill_marked(directory: Path) -> int:
    """Kill every process whose environment marks it as part of a run, whatever its parent; returns their number."""
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    return sum(_kill_if_marked(pid, directory) for pid in pids)


def _kill_if_marked(pid: int, directory: Path) -> bool:
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        if pid == os.getpid() or f"{COOKIE}={directory}".encode() not in environment:
            return False
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        return True
    except OSError:
        return False
    finally:
        os.close(handle)


def cookie(directory: Path) -> dict[str, str]:
    """The environment variable by which `kill_marked` recognises processes of a run."""
    return {COOKIE: str(directory)}
