"""A thread-safe slot for the latest value; older values are dropped."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """Holds one value until it is taken; `put` and `take` may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._value: T | None = None

    def put(self, value: T) -> bool:
        """Replace the value; True if the slot was empty, so that the receiver has to be notified."""
        with self._lock:
            was_empty = self._value is None
            self._value = value
        return was_empty

    def take(self) -> T | None:
        """Take the value; None if it was taken already."""
        with self._lock:
            value, self._value = self._value, None
        return value
