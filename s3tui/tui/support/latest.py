"""Hands the latest of a thread's values to another thread; those in between are dropped."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """Holds one value until it is taken. Both ends may be in any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._value: T | None = None

    def put(self, value: T) -> bool:
        """Replace what is there; True where nothing was, so that whoever takes it has to be woken."""
        with self._lock:
            was_empty = self._value is None
            self._value = value
        return was_empty

    def take(self) -> T | None:
        """What was put last, once; None where it has been taken already."""
        with self._lock:
            value, self._value = self._value, None
        return value
