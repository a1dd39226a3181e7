"""A sign of life: while a model loads or an evaluation takes its time, there are no events to tell it from a hang."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HEARTBEAT_INTERVAL = 5.0  # seconds


@contextmanager
def beating(path: Path) -> Iterator[None]:
    """Touch a file every few seconds, from a thread of its own, for as long as the context lasts."""
    ended = threading.Event()
    thread = threading.Thread(target=_beat, args=(path, ended), name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _beat(path: Path, ended: threading.Event) -> None:
    while True:
        # A disk that is full now may not be so later, and is told of by who writes more than this.
        with contextlib.suppress(OSError):
            path.touch()
        if ended.wait(HEARTBEAT_INTERVAL):
            return
