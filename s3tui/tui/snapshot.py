"""What the screens of the app draw: one frozen snapshot of the workspace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from s3tui.devices.placement import Gpu, Lease
from s3tui.listing.run_row import Line
from s3tui.runs.history import HistoryView
from s3tui.runs.workspace import FoundRun


@dataclass(frozen=True)
class Devices:
    """The machine at one moment; `leases` by the key of the GPU, `load` are processes that want a core."""

    gpus: tuple[Gpu, ...] = ()
    leases: Mapping[str, tuple[Lease, ...]] = field(default_factory=dict)
    cores: int = 1
    leased_cores: int = 0
    load: float = 0.0


@dataclass(frozen=True)
class RunDetail:
    """All that is shown of one run: its history, the end of its log, and whether all of its events are read."""

    history: HistoryView = field(default_factory=HistoryView)
    log: tuple[str, ...] = ()
    loaded: bool = False


@dataclass(frozen=True)
class Snapshot:
    """The workspace at one moment. What has not changed since the last one is the same object.

    `details` are those of the runs that are watched. `read_only` says why nothing can be changed, empty where it can.
    """

    lines: Mapping[str, Line] = field(default_factory=dict)
    runs: Mapping[str, FoundRun] = field(default_factory=dict)
    details: Mapping[str, RunDetail] = field(default_factory=dict)
    devices: Devices = Devices()
    dispatcher: str = ""
    paused: bool = False
    trouble: str = ""
    read_only: str = ""
    loaded: bool = False
