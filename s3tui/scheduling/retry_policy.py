"""Decides whether a run is retried after an attempt has ended, and when.

A run that fails spends its retries, and the same failure twice in a row ends them. One that was killed from outside
has not failed: it starts again without spending them, up to a limit of its own, as what kills it may never cease.
"""

from __future__ import annotations

from dataclasses import replace

from s3tui.runs.records.queue import Queue
from s3tui.runs.status import KILL, Broken, Cancelled, Dead, Paused, signature

KILLS = 10  # of one run from outside, after which it starts again
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
    if isinstance(end, Dead) and end.kind == KILL:
        return _started_again(queue, end, now, backoff)
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
    what = end.message if isinstance(end, Broken) else end.manner
    return replace(
        queue, retried=queue.retried + 1, not_before=now + _pause(queue.retried, backoff), failure=failure,
        reason=f"retry {queue.retried + 1} of {queue.retries} after {end.kind}: {what}"[:LONGEST_REASON],
    )  # fmt: skip


def _started_again(queue: Queue, end: Dead, now: float, backoff: float) -> Queue:
    """What is wanted of a run that was killed; with no retries it is not started again either."""
    if not queue.retries or queue.killed >= KILLS:
        reason = f"it was killed {queue.killed + 1} times" if queue.retries else ""
        return replace(queue, wanted="held", reason=reason)
    return replace(
        queue, killed=queue.killed + 1, not_before=now + _pause(queue.killed, backoff),
        reason=f"start {queue.killed + 1} of {KILLS} after a kill: {end.manner}",
    )  # fmt: skip


def _pause(before: int, backoff: float) -> float:
    """Seconds to wait after so many earlier retries."""
    return min(LONGEST_SECONDS, backoff * float(2 ** min(before, DOUBLINGS)))


def is_due(queue: Queue, now: float) -> bool:
    """Whether a retry has waited for long enough; a clock that was set back makes no wait longer than the longest."""
    return now >= queue.not_before or queue.not_before - now > LONGEST_SECONDS
