"""Reads the GPUs of this machine through NVML; decisions are in `s3tui.devices.placement`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from s3tui.devices.placement import Gpu, visible


def visible_gpus() -> list[Gpu]:
    """The GPUs visible to CUDA, in its order."""
    gpus = visible(nvml_gpus(), os.environ.get("CUDA_VISIBLE_DEVICES"))
    return [replace(gpu, index=index) for index, gpu in enumerate(gpus)]


def nvml_gpus() -> list[Gpu]:
    """All GPUs known to the driver; none if there is no driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        return [replace(_gpu(handle), parts=tuple(_parts(handle))) for handle in handles]
    except pynvml.NVMLError:
        return []
    finally:
        pynvml.nvmlShutdown()


def _parts(handle: object) -> Iterator[Gpu]:
    """The MIG instances of a GPU; their indices may have gaps."""
    import pynvml

    for place in range(_supported(lambda: pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)) or 0):
        part = _supported(partial(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, place))
        if part is not None:
            yield _gpu(part)


def _gpu(handle: object) -> Gpu:
    import pynvml

    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    processes = _supported(lambda: pynvml.nvmlDeviceGetComputeRunningProcesses(handle)) or ()
    return Gpu(
        uuid=str(pynvml.nvmlDeviceGetUUID(handle)),
        name=str(pynvml.nvmlDeviceGetName(handle)),
        memory_bytes=int(memory.total),
        free_bytes=int(memory.free),
        utilisation=_supported(lambda: int(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)),
        temperature=_supported(lambda: int(pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU))),
        processes=tuple(int(process.pid) for process in processes),
    )


def _supported(ask: Callable[[], Any]) -> Any:
    """The answer of the driver; None if it does not support the query."""
    import pynvml

    try:
        return ask()
    except pynvml.NVMLError:
        return None
