"""Who has which device of this machine: a locked file for each core and each share of a GPU.

The lock is inherited by the supervisor and the worker of a run, so it ends with them and never before.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from s3tui.devices import Lease, Place
from s3tui.locks import is_locked, try_lock
from s3tui.queuefile import Resources


class Leases:
    """The leases of one machine in one workspace. Only the dispatcher takes any."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def gpus(self) -> dict[str, list[Lease]]:
        """The leases of GPUs, by the key of the GPU."""
        found: dict[str, list[Lease]] = {}
        for path in sorted(self._folder.glob("gpu-*")):
            if is_locked(path):
                found.setdefault(path.stem, []).append(_read(path))
        return found

    def cores(self) -> int:
        """How many cores are leased."""
        return sum(map(is_locked, self._folder.glob("core.*")))

    def take(self, run: str, place: Place, asked: Resources, cores: int) -> list[int] | None:
        """Lock what a run is given; the open files, to be inherited. None where it is not free after all."""
        self._folder.mkdir(parents=True, exist_ok=True)
        wanted = 1 if place.gpu is not None else place.threads
        taken: list[int] = []
        try:
            for path in self._shares(place, asked, cores):
                handle = try_lock(path, patience=0)
                if handle is not None:
                    taken.append(handle)
                    os.ftruncate(handle, 0)
                    os.write(handle, json.dumps(asdict(Lease(run, asked.per_gpu, asked.memory))).encode())
                if len(taken) == wanted:
                    return taken
        except OSError:
            release(taken)
            raise
        release(taken)
        return None

    def _shares(self, place: Place, asked: Resources, cores: int) -> Iterator[Path]:
        if place.gpu is not None:
            yield from (self._folder / f"{place.gpu.key}.{share}" for share in range(asked.per_gpu))
        else:
            yield from (self._folder / f"core.{core}" for core in range(cores))


def release(handles: list[int]) -> None:
    """Close our own copies; whoever has inherited others still holds the lease."""
    for handle in handles:
        os.close(handle)


def _read(path: Path) -> Lease:
    try:
        told = json.loads(path.read_bytes())
        memory = told["memory"]
        return Lease(str(told["run"]), int(told["per_gpu"]), None if memory is None else int(memory))
    except (OSError, ValueError, KeyError, TypeError):
        return Lease("a run", 1)  # nobody is let in beside one that is unknown
