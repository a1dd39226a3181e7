"""What an experiment tracker is to us, and those that there are."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from core.run.plugins import Registry

PHASES = ("search", "retrain", "test")  # what the names of values begin with


@dataclass(frozen=True)
class About:
    """What a tracker is told of a run: `folder` is its own to write in, `store` where those of a workspace go together.

    `project` is the suite and `name` the run in it; `settings` are flat, as in `search.max_steps`. `known_as` is the
    identity that the tracker gave the run before, empty at first.
    """

    folder: Path
    store: Path
    project: str
    name: str
    settings: Mapping[str, Any]
    known_as: str = ""


class Tracker(Protocol):
    """One run in a tracker. Names read as `search/train_loss`, `t` is in seconds since the epoch.

    Any call may raise whatever the tracker raises.
    """

    @property
    def known_as(self) -> str:
        """What the tracker needs to know the run again; empty where it needs nothing."""

    def scalars(self, values: Mapping[str, float], step: int, t: float) -> None:
        """Some values at a step."""

    def histogram(self, name: str, values: list[float], step: int, t: float) -> None:
        """How values are distributed at a step."""

    def picture(self, name: str, png: bytes, step: int, t: float) -> None:
        """A picture at a step."""

    def flush(self) -> None:
        """See that what was told is kept."""

    def close(self, ok: bool) -> None:
        """The run is over, well or not."""


Backend = Callable[[About], Tracker]


def _own(name: str) -> Backend:
    """A tracker of this package, imported only where it is wanted: some take a second, and none need be installed."""

    def open_run(about: About) -> Tracker:
        tracker: Tracker = importlib.import_module(f"s3tui.tracking.backends.{name}").open_run(about)
        return tracker

    return open_run


# What begins a run in a tracker, or goes on with it. A package brings such a function as an entry point.
TRACKERS: Registry[Backend] = Registry(
    "trackers", Callable, {name: _own(name) for name in ("tensorboard", "wandb", "mlflow", "trackio")}
)


def open_tracker(name: str, about: About) -> Tracker:
    """Begin or go on with a run in a tracker; raises ImportError where it is not installed, or whatever else."""
    return TRACKERS[name](about)
