"""The TensorBoard tracker: event files in the run's folder, for `tensorboard --logdir WORKSPACE`; needs no torch."""

from __future__ import annotations

from collections.abc import Mapping

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.histogram.summary_v2 import histogram_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from s3tui.tracking.registry import About


class TensorBoard:
    """One event file; a resumed run adds another, which TensorBoard merges with the first."""

    known_as = ""

    def __init__(self, about: About) -> None:
        self._writer = EventFileWriter(str(about.folder))

    def scalars(self, values: Mapping[str, float], step: int, t: float) -> None:
        """Write one event with all values."""
        self._write(Summary(value=[Summary.Value(tag=k, simple_value=v) for k, v in values.items()]), step, t)

    def histogram(self, name: str, values: list[float], step: int, t: float) -> None:
        """Write a histogram of 30 buckets, TensorBoard's default."""
        self._write(histogram_pb(name, values), step, t)

    def picture(self, name: str, png: bytes, step: int, t: float) -> None:
        """Write the PNG unchanged."""
        self._write(Summary(value=[Summary.Value(tag=name, image=Summary.Image(encoded_image_string=png))]), step, t)

    def _write(self, summary: Summary, step: int, t: float) -> None:
        self._writer.add_event(Event(wall_time=t, step=step, summary=summary))

    def flush(self) -> None:
        """Flush to disk."""
        self._writer.flush()

    def close(self, ok: bool) -> None:
        """Close the file; TensorBoard has no final status."""
        self._writer.close()


def open_run(about: About) -> TensorBoard:
    """Start a new event file."""
    return TensorBoard(about)
