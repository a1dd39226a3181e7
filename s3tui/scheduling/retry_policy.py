"""Decides whether a run is retried after an attempt has ended, and when."""

from __future__ import annotations

from dataclasses import replace

from s3tui.runs.records.queue import Queue
from s3tui.runs.status import Broken, Cancelled, Dead, Paused, signature

RETRIED = frozenset({"crash", "out-of-memory"})
BACKOFF_SECONDS = 10.0  # before the first retry; each further one waits twice as long
LONGEST_SECONDS = 600.0
LONGEST_REASON = 2000  # characters; a message may be as long as a run likes
DOUBLINGS = 10  # by then every wait is the longest


def after(queue: Queue, end: Broken | Dead | Paused | Cancelled, attempt: str, now: float, backoff: float) -> Queue:
    """What is wanted of a run that was to run and whose attempt came to this end."""
    queue = replace(queue, settled=attempt, reason="")
    if isinstance(end, Cancelled):
        return replace(queue, wanted="cancelled", reason=end.reason)
    if isinstance(end, Paused):
        return replace(queue, wanted="held", reason=end.reason)
    if end.kind == "restart":
        return replace(queue, reason=end.manner) if isinstance(end, Dead) else queue
    if end.kind == "moved":
        return replace(queue, wanted="held", reason="s3tui retry goes on here")
    if end.kind not in RETRIED:
        return replace(queue, wanted="held")
    return _tried_again(queue, end, now, backoff)


def _tried_again(queue: Queue, end: Broken | Dead, now: float, backoff: float) -> Queue:
    failure = signature(end)[:LONGEST_REASON]
    if failure == queue.failure:
        return replace(queue, wanted="held", reason="it failed the same way twice")
    if queue.retried >= queue.retries:
        reason = f"it was tried {queue.retried + 1} times" if queue.retried else ""
        return replace(queue, wanted="held", failure=failure, reason=reason)
    pause = min(LONGEST_SECONDS, backoff * 2 ** min(queue.retried, DOUBLINGS))
    what = end.message if isinstance(end, Broken) else end.manner
    return replace(
        queue, retried=queue.retried + 1, not_before=now + pause, failure=failure,
        reason=f"retry {queue.retried + 1} of {queue.retries} after {end.kind}: {what}"[:LONGEST_REASON],
    )  # fmt: skip


def is_due(queue: Queue, now: float) -> bool:
    """Whether a retry has waited for long enough; a clock that was set back makes no wait longer than the longest."""
    return now >= queue.not_before or queue.not_before - now > LONGEST_SECONDS
