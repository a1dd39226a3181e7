"""The terminal of the app, which may go away while it runs."""

from __future__ import annotations

import os
import signal
from types import FrameType


def only_if_there(number: signal.Signals) -> None:
    """Pass a signal on to whoever handles it only while there is a terminal.

    One that is closed sends SIGCONT after SIGHUP. Textual would take that for a return from Ctrl-Z, begin to draw where
    nobody reads any more, and wait for ever for that to end.
    """
    handle = signal.getsignal(number)

    def pass_on(number: int, frame: FrameType | None) -> None:
        if callable(handle) and os.isatty(0):
            handle(number, frame)

    signal.signal(number, pass_on)
