"""Trackio: its local database, or the Space or server that its TRACKIO_ variables name."""

from __future__ import annotations

import io
from collections.abc import Mapping

import trackio
from PIL import Image

from s3tui.tracking.registry import About


class Trackio:
    """One run, known by its name."""

    def __init__(self, about: About) -> None:
        self._run = trackio.init(
            project=about.project, name=about.known_as or about.name, config=dict(about.settings),
            resume="allow" if about.known_as else "never", embed=False, auto_log_gpu=False, auto_log_cpu=False,
        )  # fmt: skip
        self.known_as = str(self._run.name)

    def scalars(self, values: Mapping[str, float], step: int, t: float) -> None:
        """All values in one row."""
        self._run.log(dict(values), step=step)

    def histogram(self, name: str, values: list[float], step: int, t: float) -> None:
        """In 64 buckets, Trackio's usual number."""
        self._run.log({name: trackio.Histogram(values)}, step=step)

    def picture(self, name: str, png: bytes, step: int, t: float) -> None:
        """Decoded, as Trackio takes it."""
        self._run.log({name: trackio.Image(Image.open(io.BytesIO(png)))}, step=step)

    def flush(self) -> None:
        """A thread of Trackio's own keeps what it is told."""

    def close(self, ok: bool) -> None:
        """Waits until all is kept."""
        self._run.finish()


def open_run(about: About) -> Trackio:
    """A new run, or the one that is known already."""
    return Trackio(about)
