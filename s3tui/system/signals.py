"""Ctrl-C and other signals as flags, checked between two steps of work, so that nothing is interrupted half way."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any


class Interrupts:
    """A context that counts SIGINT, SIGTERM and SIGHUP instead of dying; ignored signals (nohup) stay ignored."""

    def __init__(self) -> None:
        self.received = 0
        self.hung_up = False  # SIGHUP: the terminal is gone
        self.terminated = False  # SIGTERM
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._count)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _count(self, number: int, frame: FrameType | None) -> None:
        self.received += 1
        self.hung_up |= number == signal.SIGHUP
        self.terminated |= number == signal.SIGTERM
