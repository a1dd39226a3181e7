"""What runs can run on: a GPU each where NVML shows any, otherwise a share of the CPU's cores."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")


@dataclass(frozen=True)
class Gpu:
    """A GPU by the identifier that CUDA_VISIBLE_DEVICES takes."""

    uuid: str
    name: str = ""
    memory_bytes: int = 0


@dataclass(frozen=True)
class Slot:
    """Room for one run: a GPU, or some cores (`gpu` is None)."""

    name: str
    threads: int
    gpu: Gpu | None = None

    def environment(self, device: str) -> dict[str, str]:
        """What a worker whose run asks for `device` finds in its environment."""
        variables = dict.fromkeys(THREAD_VARIABLES, str(self.threads))
        # `cuda:N` names a GPU among all of them, so its worker must see all.
        if self.gpu is not None and not device.startswith("cuda:"):
            variables["CUDA_VISIBLE_DEVICES"] = self.gpu.uuid
        return variables | {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


@dataclass
class Slots:
    """All slots of this machine, and which are free."""

    gpus: list[Slot]
    cpus: list[Slot]
    taken: set[str] = field(default_factory=set)

    def take(self, device: str) -> Slot | None:
        """A free slot for a run that asks for `device`, or None while there is none."""
        pool = self.gpus if self.gpus and device != "cpu" else self.cpus
        if device.startswith("cuda:") and int(device[5:]) < len(self.gpus):
            pool = [self.gpus[int(device[5:])]]
        free = next((slot for slot in pool if slot.name not in self.taken), None)
        if free is not None:
            self.taken.add(free.name)
        return free

    def release(self, slot: Slot) -> None:
        """Give a slot back."""
        self.taken.discard(slot.name)


def slots(threads: int) -> Slots:
    """The slots of this machine, for runs of so many CPU threads."""
    room = max(1, usable_cores() // threads)
    return Slots(
        gpus=[Slot(f"gpu {i}", threads, gpu) for i, gpu in enumerate(visible_gpus())],
        cpus=[Slot(f"cpu {i}", threads) for i in range(room)],
    )


def usable_cores() -> int:
    """The cores that this process may run on."""
    return len(os.sched_getaffinity(0))


def visible_gpus() -> list[Gpu]:
    """The GPUs that CUDA would show, in its order."""
    return visible(nvml_gpus(), os.environ.get("CUDA_VISIBLE_DEVICES"))


def visible(gpus: Sequence[Gpu], variable: str | None) -> list[Gpu]:
    """Those of `gpus` that CUDA_VISIBLE_DEVICES leaves; as CUDA does, up to the first entry that names none."""
    if variable is None:
        return list(gpus)
    chosen: list[Gpu] = []
    for entry in filter(None, map(str.strip, variable.split(","))):
        if entry.startswith("MIG-"):
            found = [Gpu(entry, "MIG")]
        elif entry.isdecimal():
            found = list(gpus[int(entry) : int(entry) + 1])
        else:
            found = [gpu for gpu in gpus if gpu.uuid.startswith(entry)][:1]
        if not found:
            break
        chosen += found
    return chosen


def nvml_gpus() -> list[Gpu]:
    """Every GPU that the driver knows; none where there is no driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        return [_gpu(pynvml.nvmlDeviceGetHandleByIndex(i)) for i in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return []
    finally:
        pynvml.nvmlShutdown()


def _gpu(handle: object) -> Gpu:
    import pynvml

    memory = int(pynvml.nvmlDeviceGetMemoryInfo(handle).total)
    return Gpu(str(pynvml.nvmlDeviceGetUUID(handle)), str(pynvml.nvmlDeviceGetName(handle)), memory)
