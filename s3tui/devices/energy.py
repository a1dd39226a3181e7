"""The energy counter of a GPU, read through NVML."""

from __future__ import annotations

import os


def gpu_joules() -> float | None:
    """The energy in joules that the only visible GPU has used since its driver was loaded.

    None if no GPU or more than one is visible, or if the GPU has no counter (before Volta).
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    if not visible or "," in visible:
        return None
    import pynvml  # imported here, as supervisors of runs on a CPU do not need it

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
    """The energy in joules used since an earlier reading; None if either is missing."""
    now = None if before is None else gpu_joules()
    return None if now is None or before is None else round(max(0.0, now - before), 1)
