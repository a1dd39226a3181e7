"""The Trackio tracker: logs to its local database, or to the Space or server of its TRACKIO_ variables."""

from __future__ import annotations

import io
from collections.abc import Mapping

import trackio
from PIL import Image

from s3tui.tracking.registry import About


class Trackio:
    """One run in Trackio, identified by its name."""

    def __init__(self, about: About) -> None:
        self._run = trackio.init(
            project=about.project, name=about.known_as or about.name, config=dict(about.settings),
            resume="allow" if about.known_as else "never", embed=False, auto_log_gpu=False, auto_log_cpu=False,
        )  # fmt: skip
        self.known_as = str(self._run.name)

    def scalars(self, values: Mapping[str, float], step: int, t: float) -> None:
        """Log all values in one row."""
        self._run.log(dict(values), step=step)

    def histogram(self, name: str, values: list[float], step: int, t: float) -> None:
        """Log a histogram of 64 buckets, Trackio's default."""
        self._run.log({name: trackio.Histogram(values)}, step=step)

    def picture(self, name: str, png: bytes, step: int, t: float) -> None:
        """Log the decoded image, as Trackio requires."""
        self._run.log({name: trackio.Image(Image.open(io.BytesIO(png)))}, step=step)

    def flush(self) -> None:
        """Does nothing: a thread of Trackio stores values."""

    def close(self, ok: bool) -> None:
        """Wait until everything is stored."""
        self._run.finish()


def open_run(about: About) -> Trackio:
    """Start a run, or resume the known one."""
    return Trackio(about)
