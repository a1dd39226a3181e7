"""Work that must not hold up a key, in a thread of its own."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from textual.message_pump import MessagePump

P = ParamSpec("P")
T = TypeVar("T")


def handed_over(node: MessagePump, then: Callable[P, object]) -> Callable[P, None]:
    """`then`, to be called from any thread: it runs where `node` lives, soon, and not at all once that is gone.

    The thread does not wait for it, as `call_from_thread` would: whoever ends a thread may be who it would wait for.
    """
    app = node.app

    def arrive(*arguments: P.args, **named: P.kwargs) -> None:
        if node.is_running:
            then(*arguments, **named)

    def hand_over(*arguments: P.args, **named: P.kwargs) -> None:
        with contextlib.suppress(RuntimeError):  # the app has ended
            app.call_later(arrive, *arguments, **named)

    return hand_over


def in_thread(node: MessagePump, job: Callable[[], T], then: Callable[[T], object]) -> None:
    """Do `job` in a thread of its own, and hand its result to `then`; an error of our own ends the app, loudly.

    The thread ends with the app, so `job` only looks at things, or does what may be left undone.
    """
    done, broken = handed_over(node, then), handed_over(node, _fail)

    def work() -> None:
        try:
            result = job()
        except Exception as error:
            broken(error)
        else:
            done(result)

    threading.Thread(target=work, daemon=True).start()


def _fail(error: Exception) -> None:
    raise error
