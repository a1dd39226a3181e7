"""The heartbeat of a worker: a file touched every few seconds, which tells a slow step from a hung process."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HEARTBEAT_INTERVAL = 5.0  # seconds


@contextmanager
def beating(path: Path) -> Iterator[None]:
    """Touch a file every few seconds from a background thread while the context lasts."""
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
        # A disk that is full now may have space later; the writers of events report it.
        with contextlib.suppress(OSError):
            path.touch()
        if ended.wait(HEARTBEAT_INTERVAL):
            return
