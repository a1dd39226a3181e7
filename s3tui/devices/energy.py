"""The energy that a GPU has used, as NVML counts it."""

from __future__ import annotations

import os


def gpu_joules() -> float | None:
    """Joules that the one GPU of this process has used since its driver was loaded.

    None where there is no GPU, or more than one to see, or where the GPU does not count (before Volta).
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    if not visible or "," in visible:
        return None
    import pynvml  # what supervises a run on a CPU need not load it

    try:
        pynvml.nvmlInit()
        if visible.isdecimal():
            handle = pynvml.nvmlDeviceGetHandleByIndex(int(visible))
        else:
            handle = pynvml.nvmlDeviceGetHandleByUUID(visible)
        return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1000
    except pynvml.NVMLError:
        return None


def used_since(before: float | None) -> float | None:
    """Joules that it has used since an earlier reading; None where either is missing."""
    now = None if before is None else gpu_joules()
    return None if now is None or before is None else round(max(0.0, now - before), 1)
