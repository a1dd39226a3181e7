"""The strip of devices: utilisation, memory, leases and other processes of each GPU; or the CPU cores."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from s3tui.devices.placement import Gpu, Lease, gigabytes
from s3tui.text.sanitize import clean
from s3tui.tui.snapshot import Devices
from s3tui.tui.support.palette import Cell, bar, content, text

BAR = 10


class DeviceStrip(Static):
    """A line for each GPU, or one for the CPU cores."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__("", id=id, markup=False)
        self._shown: tuple[Devices, frozenset[int]] | None = None

    def show(self, devices: Devices, ours: frozenset[int]) -> None:
        """Show the current state; `ours` are the processes of our runs."""
        if (devices, ours) != self._shown:
            lines = lines_of(devices, ours)
            taller = self._shown is None or len(lines) != len(lines_of(*self._shown))
            self._shown = (devices, ours)
            self.update(Content("\n").join(content(*line) for line in lines), layout=taller)


def lines_of(devices: Devices, ours: frozenset[int]) -> list[list[Cell]]:
    """The lines of the strip."""
    if devices.gpus:
        return [_gpu(gpu, devices.leases.get(gpu.key, ()), ours) for gpu in devices.gpus]
    share = devices.leased_cores / max(1, devices.cores)
    cores = f" {devices.leased_cores} of {devices.cores} cores leased"
    return [[text("cpu   ", "strong"), bar(share, BAR), text(cores), text(f"   load {devices.load:g}", "muted")]]


def _gpu(gpu: Gpu, leases: tuple[Lease, ...], ours: frozenset[int]) -> list[Cell]:
    used = None if gpu.free_bytes is None else gpu.memory_bytes - gpu.free_bytes
    line = [text(f"gpu {gpu.index} ", "strong"), bar((gpu.utilisation or 0) / 100, BAR)]
    line.append(text("   -%" if gpu.utilisation is None else f" {gpu.utilisation:3d}%"))
    if used is not None and gpu.memory_bytes:
        line += [text("  "), bar(used / gpu.memory_bytes, BAR)]
        line.append(text(f" {gigabytes(used)} of {gigabytes(gpu.memory_bytes)}"))
    if gpu.temperature is not None:
        line.append(text(f"  {gpu.temperature} C", "muted"))
    line += [text(f"  ● {clean(lease.run)}", "good") for lease in leases]
    others = [pid for pid in gpu.processes if pid not in ours]
    if others:
        line.append(text(f"  also process {', '.join(map(str, others))}", "warn"))
    return line
