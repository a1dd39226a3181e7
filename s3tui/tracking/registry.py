"""The interface of experiment trackers, and the table of known ones."""

from __future__ import annotations

import importlib
import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from core.run.events import STEPPED
from core.run.plugins import Registry

PHASES = (*STEPPED, "test")  # the first parts of the names of values


@dataclass(frozen=True)
class About:
    """Metadata of a run for a tracker: `folder` is for files of this run, `store` for files of the whole workspace.

    `project` is the suite and `name` the run in it; `settings` are flat, as in `search.max_steps`. `known_as` is the
    tracker's own identifier of the run from an earlier attempt; empty at first.
    """

    folder: Path
    store: Path
    project: str
    name: str
    settings: Mapping[str, Any]
    known_as: str = ""


class Tracker(Protocol):
    """The interface of one run in a tracker. Names are like `search/train_loss`, `t` is in seconds since the epoch.

    Any call may raise any exception of the tracker.
    """

    @property
    def known_as(self) -> str:
        """The tracker's identifier with which to resume this run; empty if it needs none."""

    def scalars(self, values: Mapping[str, float], step: int, t: float) -> None:
        """Log values at a step."""

    def histogram(self, name: str, values: list[float], step: int, t: float) -> None:
        """Log a distribution of values at a step."""

    def picture(self, name: str, png: bytes, step: int, t: float) -> None:
        """Log a picture (PNG) at a step."""

    def flush(self) -> None:
        """Make sure that everything logged so far is stored."""

    def close(self, ok: bool) -> None:
        """End the run, as succeeded (`ok`) or failed."""


Backend = Callable[[About], Tracker]


def _own(name: str) -> Backend:
    """A tracker of this package, imported on use: some imports take a second, and none need be installed."""

    def open_run(about: About) -> Tracker:
        tracker: Tracker = importlib.import_module(f"s3tui.tracking.backends.{name}").open_run(about)
        return tracker

    return open_run


# Functions that start or resume a run in a tracker. Other packages add one as an entry point.
TRACKERS: Registry[Backend] = Registry(
    "trackers", Callable, {name: _own(name) for name in ("tensorboard", "wandb", "mlflow", "trackio")}
)


def where_to_look(name: str, folder: Path, store: Path) -> tuple[str, str]:
    """Where a tracker keeps a run, and the command that shows it; empty for what only the tracker knows.

    `folder` and `store` are as in `About`.
    """
    if name == "tensorboard":
        return str(folder), shlex.join(["tensorboard", "--logdir", str(store)])
    if name == "mlflow" and not os.environ.get("MLFLOW_TRACKING_URI"):
        return str(store / ".mlflow"), shlex.join(["mlflow", "ui", "--backend-store-uri", str(store / ".mlflow")])
    return ("", "trackio show") if name == "trackio" else ("", "")


def open_tracker(name: str, about: About) -> Tracker:
    """Start or resume a run in a tracker; raises ImportError if it is not installed, or any other exception."""
    return TRACKERS[name](about)
