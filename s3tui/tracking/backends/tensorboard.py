"""TensorBoard: event files in the run's folder, which `tensorboard --logdir WORKSPACE` finds. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.histogram.summary_v2 import histogram_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from s3tui.tracking.registry import About


class TensorBoard:
    """One event file; who goes on with a run adds another, which TensorBoard reads as one with the first."""

    known_as = ""

    def __init__(self, about: About) -> None:
        self._writer = EventFileWriter(str(about.folder))

    def scalars(self, values: Mapping[str, float], step: int, t: float) -> None:
        """One event with all values."""
        self._write(Summary(value=[Summary.Value(tag=k, simple_value=v) for k, v in values.items()]), step, t)

    def histogram(self, name: str, values: list[float], step: int, t: float) -> None:
        """In 30 buckets, TensorBoard's usual number."""
        self._write(histogram_pb(name, values), step, t)

    def picture(self, name: str, png: bytes, step: int, t: float) -> None:
        """The file as it is."""
        self._write(Summary(value=[Summary.Value(tag=name, image=Summary.Image(encoded_image_string=png))]), step, t)

    def _write(self, summary: Summary, step: int, t: float) -> None:
        self._writer.add_event(Event(wall_time=t, step=step, summary=summary))

    def flush(self) -> None:
        """Onto the disk."""
        self._writer.flush()

    def close(self, ok: bool) -> None:
        """TensorBoard has no word for how a run ended."""
        self._writer.close()


def open_run(about: About) -> TensorBoard:
    """A new event file."""
    return TensorBoard(about)
