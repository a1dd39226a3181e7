"""An immutable snapshot of the workspace, which the screens of the app draw."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from s3tui.devices.placement import Gpu, Lease
from s3tui.listing.run_row import Line
from s3tui.report.race_view import RaceView
from s3tui.runs.history import HistoryView
from s3tui.runs.workspace import FoundRun


@dataclass(frozen=True)
class Devices:
    """The devices of the machine; `leases` by the key of the GPU, `load` is the load average."""

    gpus: tuple[Gpu, ...] = ()
    leases: Mapping[str, tuple[Lease, ...]] = field(default_factory=dict)
    cores: int = 1
    leased_cores: int = 0
    load: float = 0.0


@dataclass(frozen=True)
class RunDetail:
    """The details of one run: its history, the end of its log, and whether all of its events are read."""

    history: HistoryView = field(default_factory=HistoryView)
    log: tuple[str, ...] = ()
    loaded: bool = False


@dataclass(frozen=True)
class Snapshot:
    """The state of the workspace. Parts that have not changed since the previous snapshot are the same objects.

    `details` are those of watched runs. `races` are the names of the races, `race` is the watched one. `read_only` says
    why nothing can be changed; empty if it can. `asks`: runs may start, nobody dispatches, and the user has not said
    whether the app does. `rings` counts the notifications for bells, `warnings` are those of notifications that could
    not be sent; both only grow. `unfinished` are those of the runs that are not done.
    """

    lines: Mapping[str, Line] = field(default_factory=dict)
    runs: Mapping[str, FoundRun] = field(default_factory=dict)
    details: Mapping[str, RunDetail] = field(default_factory=dict)
    devices: Devices = Devices()
    dispatcher: str = ""
    paused: bool = False
    trouble: str = ""
    read_only: str = ""
    asks: bool = False
    races: Set[str] = frozenset()
    race: RaceView | None = None
    rings: int = 0
    warnings: tuple[str, ...] = ()
    unfinished: Mapping[str, FoundRun] = field(default_factory=dict)
    loaded: bool = False
