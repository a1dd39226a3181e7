"""The Weights & Biases tracker, configured by `wandb login` and WANDB_ variables; WANDB_MODE=offline writes files."""

from __future__ import annotations

import io
from collections.abc import Mapping

import wandb
from PIL import Image

from s3tui.tracking.registry import PHASES, About


class Wandb:
    """One run in W&B, which counts calls, not steps: the step of the phase is logged with the values, as plot axis."""

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
        """Log all values in one row."""
        phase = next(iter(values)).partition("/")[0]
        self._run.log({**values, f"{phase}/step": step})

    def histogram(self, name: str, values: list[float], step: int, t: float) -> None:
        """Log a histogram of 64 buckets, W&B's default."""
        self._run.log({name: wandb.Histogram(values), f"{name.partition('/')[0]}/step": step})

    def picture(self, name: str, png: bytes, step: int, t: float) -> None:
        """Log the decoded image, as W&B requires."""
        self._run.log({name: wandb.Image(Image.open(io.BytesIO(png))), f"{name.partition('/')[0]}/step": step})

    def flush(self) -> None:
        """Does nothing: a process of W&B stores values."""

    def close(self, ok: bool) -> None:
        """Wait until everything is sent."""
        self._run.finish(exit_code=0 if ok else 1)


def open_run(about: About) -> Wandb:
    """Start a run, or resume the known one."""
    return Wandb(about)
