"""Placement of runs on devices: pure functions of a snapshot of the machine."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from core.run.fields import Count, Positive
from s3tui.runs.records.queue import Resources

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
IDLE_BYTES = 2 * 2**30  # most memory that drivers and displays use; with more in use, the GPU is busy


@dataclass(frozen=True)
class Gpu:
    """A GPU as reported by NVML; `index` is its number among the visible ones, `processes` are the PIDs on it.

    Memory is in bytes, utilisation in percent, temperature in degrees Celsius; None if the driver does not report it.
    `parts` are its MIG instances.
    """

    uuid: str
    name: str = ""
    memory_bytes: int = 0
    free_bytes: int | None = None
    utilisation: int | None = None
    temperature: int | None = None
    processes: tuple[int, ...] = ()
    index: int = 0
    parts: tuple[Gpu, ...] = ()

    @property
    def key(self) -> str:
        """The name of its lock file."""
        return f"gpu-{re.sub('[^A-Za-z0-9-]', '-', self.uuid)}"


@dataclass(frozen=True)
class Lease:
    """A lease of a share of a GPU: the run, how many runs may share the GPU, and the requested memory."""

    run: str
    per_gpu: Positive = 1
    memory: Count | None = None


@dataclass(frozen=True)
class Machine:
    """A snapshot of the machine: GPUs with their leases, cores, the number of leased ones, and our processes."""

    gpus: tuple[Gpu, ...]
    cores: int
    leases: Mapping[str, Sequence[Lease]] = field(default_factory=dict)  # by the key of the GPU
    leased_cores: int = 0
    ours: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Place:
    """The devices for one run: GPUs, or CPU cores alone; `hides_gpus`: whether GPUs are to be hidden from it."""

    threads: int
    gpus: tuple[Gpu, ...] = ()
    hides_gpus: bool = False

    def environment(self, device: str) -> dict[str, str]:
        """The environment variables of a worker whose run has this `device` setting."""
        variables = dict.fromkeys(THREAD_VARIABLES, str(self.threads))
        # `cuda:N` is the number among all GPUs, so its worker must see all of them.
        if self.gpus and not device.startswith("cuda:"):
            variables["CUDA_VISIBLE_DEVICES"] = ",".join(gpu.uuid for gpu in self.gpus)
        elif self.hides_gpus:
            variables["CUDA_VISIBLE_DEVICES"] = ""
        return variables | {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}

    def __str__(self) -> str:
        if self.gpus:
            numbers = ", ".join(str(gpu.index) for gpu in self.gpus)
            return f"gpu{'s' if len(self.gpus) > 1 else ''} {numbers}"
        return _cores(self.threads)


@dataclass(frozen=True)
class NoRoom:
    """Why a run has to wait; `ever` is False if this machine can never run it."""

    reason: str
    ever: bool = True


def place(device: str, asked: Resources, machine: Machine) -> Place | NoRoom:
    """The devices on which a run can start now, or why it cannot."""
    if device == "cpu" or asked.gpus == 0 or (asked.gpus is None and not asked.memory and not machine.gpus):
        return _on_cores(asked, machine)
    return _on_a_gpu(device, asked, machine)


def _on_cores(asked: Resources, machine: Machine) -> Place | NoRoom:
    threads = min(asked.threads, machine.cores)
    free = machine.cores - machine.leased_cores
    if free >= threads:
        return Place(threads, hides_gpus=asked.gpus == 0)
    return NoRoom(f"waiting for {_cores(threads)}: {free} of {machine.cores} free")


def _cores(count: int) -> str:
    return f"{count} core{'' if count == 1 else 's'}"


def _on_a_gpu(device: str, asked: Resources, machine: Machine) -> Place | NoRoom:
    gpus: Sequence[Gpu] = machine.gpus
    if device.startswith("cuda:"):
        gpus = [gpu for gpu in gpus if gpu.index == int(device[5:])]
    count = asked.gpus or 1
    which = "a GPU" if count == 1 else f"{count} GPUs"
    waiting = f"waiting for {gigabytes(asked.memory)} on {which}" if asked.memory else f"waiting for {which}"
    if not gpus:
        lack = f"there is no GPU {device[5:]}" if device.startswith("cuda:") else "there is none"
        return NoRoom(f"{waiting}: {lack}", ever=False)
    problems = {gpu.index: _problem(gpu, asked, machine) for gpu in gpus}
    # Of those with room, the one with the fewest runs: runs spread out before they share.
    free = [gpu for gpu in gpus if not problems[gpu.index]]
    if len(free) >= count:
        return Place(asked.threads, tuple(sorted(free, key=lambda gpu: len(machine.leases.get(gpu.key, ())))[:count]))
    reasons = [f"{index} {problem}" for index, problem in problems.items() if problem]
    if len(gpus) < count:
        reasons.append(f"there {'is' if len(gpus) == 1 else 'are'} {len(gpus)}")
    return NoRoom(f"{waiting}: {', '.join(reasons)}", ever=sum(_could_fit(gpu, asked) for gpu in gpus) >= count)


def _could_fit(gpu: Gpu, asked: Resources) -> bool:
    return not asked.memory or not gpu.memory_bytes or asked.memory <= gpu.memory_bytes


def _problem(gpu: Gpu, asked: Resources, machine: Machine) -> str:
    """Why a run cannot use this GPU now; empty if it can."""
    leases = machine.leases.get(gpu.key, ())
    if len(leases) >= min((asked.per_gpu, *(lease.per_gpu for lease in leases))):
        return f"is leased to {' and '.join(lease.run for lease in leases)}"
    if asked.memory and gpu.free_bytes is not None:
        # A run that has just started has not yet allocated the memory that it requested.
        promised = sum(lease.memory or 0 for lease in leases)
        free = min(gpu.free_bytes, gpu.memory_bytes - promised)
        if free < asked.memory:
            return f"has {gigabytes(max(0, free))} free"
    others = [pid for pid in gpu.processes if pid not in machine.ours]
    if others and not asked.use_busy_gpus:
        return f"is used by process {', '.join(map(str, others))}"
    in_use = 0 if gpu.free_bytes is None else gpu.memory_bytes - gpu.free_bytes
    # In a container other users' processes are not visible, only the memory in use.
    if not leases and in_use > IDLE_BYTES and not asked.use_busy_gpus:
        return f"has {gigabytes(in_use)} in use by others"
    return ""


def gigabytes(size: int | None) -> str:
    """Format a size of memory: `3.1 GB`, `20 GB`."""
    return f"{(size or 0) / 1e9:.3g} GB"


def visible(gpus: Sequence[Gpu], variable: str | None) -> list[Gpu]:
    """The GPUs that CUDA_VISIBLE_DEVICES leaves visible, by the rules of CUDA.

    All entries are of the kind of the first: numbers, UUIDs of GPUs or of MIG instances, which may be abbreviated if
    that is unique. The first invalid entry ends the list, and a repeated one leaves no GPU at all.
    """
    if variable is None:
        return list(gpus)
    entries = [entry.strip() for entry in variable.split(",")]
    kind = next((prefix for prefix in ("GPU-", "MIG-") if entries[0].startswith(prefix)), "")
    among = [part for gpu in gpus for part in gpu.parts] if kind == "MIG-" else gpus
    chosen: list[Gpu] = []
    for entry in entries:
        found = _named(among, entry, kind)
        if found is None:
            break
        if found in chosen:
            return []
        chosen.append(found)
    return chosen


def _named(gpus: Sequence[Gpu], entry: str, kind: str) -> Gpu | None:
    """The GPU that an entry of CUDA_VISIBLE_DEVICES names, or None."""
    if kind:
        found = [gpu for gpu in gpus if entry.startswith(kind) and gpu.uuid.startswith(entry)]
        return found[0] if len(found) == 1 else None
    number = int(entry) if re.fullmatch("[0-9]{1,9}", entry) else -1
    return gpus[number] if 0 <= number < len(gpus) else None
