"""Work that must not hold up a key, in a thread of its own."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

from textual.message_pump import MessagePump

T = TypeVar("T")


def in_thread(node: MessagePump, job: Callable[[], T], then: Callable[[T], object]) -> None:
    """Do `job` in a thread and hand its result to `then` where `node` lives; nothing happens once that is gone.

    The thread ends with the app, so `job` only looks at things.
    """

    def work() -> None:
        result = job()
        with contextlib.suppress(RuntimeError):  # the app has ended
            node.call_later(then, result)

    threading.Thread(target=work, daemon=True).start()
