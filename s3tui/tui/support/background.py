"""Background threads for work that must not block the interface."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from textual.message_pump import MessagePump

P = ParamSpec("P")
T = TypeVar("T")


def handed_over(node: MessagePump, then: Callable[P, object]) -> Callable[P, None]:
    """A version of `then` for other threads: it runs in the event loop of `node`, unless that has been removed.

    The calling thread does not wait for it, unlike with `call_from_thread`, which could deadlock when threads end.
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
    """Run `job` in a thread, and pass its result to `then`; an unexpected error ends the app with a traceback.

    The thread ends with the app, so `job` must be safe to interrupt.
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
