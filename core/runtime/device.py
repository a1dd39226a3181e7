"""The device and the precision with which a run computes."""

from __future__ import annotations

import torch

from core.run.errors import DeviceError
from core.runtime import process_group


def resolve_device(name: str) -> torch.device:
    """The device of a setting: `auto` is the first GPU, or the CPU if there is none.

    With several processes, each uses the GPU of its rank. Raises DeviceError for a GPU that does not exist.
    """
    if process_group.count() > 1 and name != "cpu" and torch.cuda.is_available():
        name = f"cuda:{process_group.rank()}"
        if process_group.count() > torch.cuda.device_count():
            raise DeviceError(
                f"{process_group.count()} processes need as many GPUs, and there are {torch.cuda.device_count()}"
            )
        torch.cuda.set_device(process_group.rank())
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda":
        count = torch.cuda.device_count()
        if count == 0:
            raise DeviceError(f"device = {name!r}, but torch sees no GPU", "use device = 'auto' or 'cpu'")
        if (device.index or 0) >= count:
            raise DeviceError(f"device = {name!r}, but there are {count} GPUs", f"the last is cuda:{count - 1}")
    return device


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """The data type of the backbone: `auto` is bf16 on a GPU that supports it, fp32 elsewhere."""
    if name == "auto":
        bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported()
        return torch.bfloat16 if bf16 else torch.float32
    return {"fp32": torch.float32, "bf16": torch.bfloat16}[name]
