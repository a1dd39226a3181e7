"""Who a process is: its number, when it started and in which boot. A number alone is used again and again."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from core.run.fields import Between, Count

Pid = Annotated[int, Between(1, 2**31 - 1)]  # what a kernel can take for one
COOKIE = "S3TUI_RUN"  # in the environment of a worker and of whatever it starts: the directory of the run


@dataclass(frozen=True)
class Identity:
    """One process for ever; `start` is in clock ticks since the boot `boot`."""

    pid: Pid
    start: Count
    boot: str


@lru_cache(maxsize=1)
def this_boot() -> str:
    """What tells this boot of this machine from all others."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def this_host() -> str:
    """The name of this machine, for people."""
    return os.uname().nodename


def identity_of(pid: int) -> Identity | None:
    """Who has this number now; None where nobody has, or only a process that ended and was not reaped."""
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
    """Whether this very process lives, on this machine and in this boot."""
    return identity.boot == this_boot() and identity_of(identity.pid) == identity


def send(identity: Identity, number: signal.Signals) -> bool:
    """Send a signal to this very process; False where it is gone."""
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(identity.pid)
        try:
            # Checked while the handle is held: from then on it can mean no other process.
            if not is_alive(identity):
                return False
            signal.pidfd_send_signal(handle, number)
            return True
        finally:
            os.close(handle)
    return False


def kill_marked(directory: Path) -> int:
    """Kill every process whose environment says that it belongs to a run, whoever its parent is; how many."""
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
    """The mark that `kill_marked` looks for."""
    return {COOKIE: str(directory)}
