"""Weights & Biases: where and as whom, `wandb login` and its WANDB_ variables say; WANDB_MODE=offline writes files."""

from __future__ import annotations

import io
from collections.abc import Mapping

import wandb
from PIL import Image

from s3tui.tracking.registry import PHASES, About


class Wandb:
    """One run. It counts calls, not steps, so each value goes with the step of its phase, the axis of its plots."""

    def __init__(self, about: About) -> None:
        self._run = wandb.init(
            project=about.project, name=about.name, config=dict(about.settings), dir=about.folder,
            id=about.known_as or None, resume="allow" if about.known_as else None,
            settings=wandb.Settings(x_disable_stats=True, console="off"),
        )  # fmt: skip
        self.known_as = str(self._run.id)
        for phase in PHASES:
            self._run.define_metric(f"{phase}/*", step_metric=f"{phase}/step")

    def scalars(self, values: Mapping[str, float], step: int, t: float) -> None:
        """All values in one row."""
        phase = next(iter(values)).partition("/")[0]
        self._run.log({**values, f"{phase}/step": step})

    def histogram(self, name: str, values: list[float], step: int, t: float) -> None:
        """In 64 buckets, W&B's usual number."""
        self._run.log({name: wandb.Histogram(values), f"{name.partition('/')[0]}/step": step})

    def picture(self, name: str, png: bytes, step: int, t: float) -> None:
        """Decoded, as W&B takes it."""
        self._run.log({name: wandb.Image(Image.open(io.BytesIO(png))), f"{name.partition('/')[0]}/step": step})

    def flush(self) -> None:
        """A process of W&B's own keeps what it is told."""

    def close(self, ok: bool) -> None:
        """Waits until all is sent."""
        self._run.finish(exit_code=0 if ok else 1)


def open_run(about: About) -> Wandb:
    """A new run, or the one that is known already."""
    return Wandb(about)
