"""Leases of devices: a locked file for each core and each share of a GPU of this machine.

The supervisor and the worker of a run inherit the lock, so it is released exactly when they have ended.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from core.run.errors import RunDirError
from core.run.rundir import read_record
from s3tui.devices.placement import Lease, Place
from s3tui.runs.records.queue import Resources
from s3tui.system.file_locks import is_locked, try_lock


class Leases:
    """The leases of one machine in one workspace. Only the dispatcher acquires leases."""

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
        """The number of leased cores."""
        return sum(map(is_locked, self._folder.glob("core.*")))

    def take(self, run: str, place: Place, asked: Resources, cores: int) -> list[int] | None:
        """Lock the devices of a run; returns the open files, to be inherited, or None if a device is not free."""
        self._folder.mkdir(parents=True, exist_ok=True)
        lease = Lease(run, asked.per_gpu, asked.memory)
        taken: list[int] = []
        try:
            for paths, wanted in self._shares(place, asked, cores):
                handles = _lock(paths, wanted, lease)
                taken += handles
                if len(handles) < wanted:
                    release(taken)
                    return None
        except OSError:
            release(taken)
            raise
        return taken

    def _shares(self, place: Place, asked: Resources, cores: int) -> Iterator[tuple[Iterable[Path], int]]:
        """Sets of files, each with the number of them to lock: one share of each GPU, or as many cores as threads."""
        for gpu in place.gpus:
            yield (self._folder / f"{gpu.key}.{share}" for share in range(asked.per_gpu)), 1
        if not place.gpus:
            yield [self._folder / f"core.{core}" for core in range(cores)], place.threads


def _lock(paths: Iterable[Path], wanted: int, lease: Lease) -> list[int]:
    """Lock `wanted` of the free files, or fewer if there are fewer."""
    taken: list[int] = []
    try:
        for path in paths:
            if len(taken) == wanted:
                break
            handle = try_lock(path, patience=0)
            if handle is not None:
                taken.append(handle)
                os.ftruncate(handle, 0)
                os.write(handle, json.dumps(asdict(lease)).encode())
    except OSError:
        release(taken)
        raise
    return taken


def release(handles: list[int]) -> None:
    """Close our own file handles; processes that have inherited them still hold the lease."""
    for handle in handles:
        os.close(handle)


def _read(path: Path) -> Lease:
    try:
        return read_record(path, Lease)
    except RunDirError:
        return Lease("a run", 1)  # an unreadable lease is not shared
