"""The device and the precision with which a run computes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from core.run.errors import DeviceError
from core.runtime import process_group

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
# Of x86 and of ARM, as `torch.cpu.get_capabilities` calls them.
BF16_INSTRUCTIONS = ("amx_bf16", "avx512_bf16", "bf16")


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
    """The type of the backbone: `auto` is bf16 where the device computes with it, fp32 elsewhere."""
    return PRECISIONS[name] if name != "auto" else PRECISIONS[auto_precision(device)[0]]


def precision_name(dtype: torch.dtype) -> str:
    """A type of the backbone as settings and results call it."""
    return next(name for name, known in PRECISIONS.items() if known == dtype)


def auto_precision(device: torch.device) -> tuple[str, str]:
    """What `precision = "auto"` is on a device, and why.

    A CPU has to have the instructions: torch computes in bf16 without them too, but slower than in fp32.
    """
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bf16", f"{name} computes in it"
        return "fp32", f"{name} does not compute in bf16"
    kernels = torch.backends.cpu.get_cpu_capability()
    found = bf16_instructions(torch.cpu.get_capabilities(), kernels)
    if found:
        return "bf16", f"the processor has {', '.join(found)}"
    return "fp32", f"the processor has no instructions for bf16 that torch uses (its kernels are {kernels})"


def bf16_instructions(capabilities: Mapping[str, Any], kernels: str) -> list[str]:
    """The instructions that multiply bf16, of those that torch knows of a processor; none where it must not use them.

    `ATEN_CPU_CAPABILITY=avx2` restricts `kernels`, the kind that torch has chosen for an x86 processor.
    """
    usable = capabilities.get("architecture") != "x86_64" or kernels.startswith("AVX512")
    return [name for name in BF16_INSTRUCTIONS if usable and capabilities.get(name)]
