"""Says what there is to notify of the suites of a workspace, and has it sent; whoever dispatches does so."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import suppress
from functools import partial

from s3tui.notify.record import Notices, Standing, change, noted, read_notices, suites_that_notify
from s3tui.notify.send import start_sender
from s3tui.race.facts import answer
from s3tui.runs.index import Board
from s3tui.runs.over import is_over, rests
from s3tui.runs.status import Broken, Cancelled, Damaged, Dead, Done, Paused
from s3tui.runs.workspace import FoundRun
from s3tui.scheduling.races import Race, races
from s3tui.text.sanitize import clean
from s3tui.text.units import points

FAILED = (Broken, Dead, Damaged)
LONGEST = 300  # characters of what is told of a run
NAMED = 5  # runs at most
FAILURE = "failed: "  # how what is told of a run that failed begins


class Notifier:
    """Notes in the records of suites what is to be told, and starts the processes that send it."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._senders: dict[str, subprocess.Popen[bytes]] = {}
        self._sent_for: dict[str, int] = {}  # the number of messages of a suite when a sender was last started for it
        self.is_behind = True  # the last dispatcher may have died before it told what had ended

    def note(self, impossible: Set[str]) -> None:
        """Look at every suite that notifies anybody; `impossible` are the waiting runs that can never start.

        What cannot be written, as on a full disk, stops nothing, and is tried again.
        """
        self.is_behind = False
        for suite in suites_that_notify(self._board.workspace):
            notices = read_notices(self._board.workspace, suite)
            if notices is not None and notices.to:
                try:
                    self._note(suite, notices, impossible)
                except OSError:
                    self.is_behind = True

    def _note(self, suite: str, notices: Notices, impossible: Set[str]) -> None:
        how = partial(noted, now=standing(self._board, suite, impossible), summed=summed)
        if how(notices) != notices:
            notices = change(self._board.workspace, suite, how) or notices
        # If a sender cannot even start, the next one is started with the next message.
        if notices.waiting and self._sent_for.get(suite) != notices.count:
            self._sent_for[suite] = notices.count
            self._reap()
            with suppress(OSError):
                self._senders[suite] = start_sender(self._board.workspace, suite)

    def _reap(self) -> None:
        self._senders = {suite: sender for suite, sender in self._senders.items() if sender.poll() is None}

    def wait(self, seconds: float) -> None:
        """Wait for the senders that are under way; they go on if they take longer."""
        for sender in self._senders.values():
            with suppress(subprocess.TimeoutExpired):
                sender.wait(seconds)


def standing(board: Board, suite: str, impossible: Set[str]) -> Standing:
    """How the runs and races of a suite stand, and the suite itself."""
    runs = {name: run for name, run in board.runs.items() if run.suite == suite}
    found = list(races(board, suite))
    under_way = {name for name, run in runs.items() if not is_over(run) and name not in impossible}
    ended = {name: _told(run) for name, run in runs.items() if is_over(run) and not _is_held(run)}
    for race in found:
        if any(f"{suite}/{name}" in under_way for name in race.runs) or race.decision.has_actions:
            under_way.add(race.name)
        elif race.decision.over:
            ended[race.name] = _decided(race)
    if under_way:
        under_way.add(suite)
    elif runs and not any(map(_is_held, runs.values())):
        ended[suite] = _done(runs, impossible)
    return Standing(under_way, ended, {*runs, *(race.name for race in found), suite})


def _is_held(run: FoundRun) -> bool:
    """Whether a run was stopped by the user, who may go on with it."""
    return isinstance(run.status, Paused) and not rests(run)


def _told(run: FoundRun) -> str:
    """What is told of a run that has ended; nothing unless it failed."""
    if not isinstance(run.status, FAILED):
        return ""
    return f"{FAILURE}{clean(_short(run.name))}: {clean(run.status.note)}"[:LONGEST]


def _short(name: str) -> str:
    return name.partition("/")[2]


def summed(texts: list[str]) -> list[str]:
    """The messages for what has ended in one moment: the runs that failed are one."""
    failed = [text.removeprefix(FAILURE) for text in texts if text.startswith(FAILURE)]
    return [*_failed(failed), *(text for text in texts if not text.startswith(FAILURE))]


def _failed(failed: list[str]) -> Iterator[str]:
    if len(failed) == 1:
        yield f"{FAILURE}{failed[0]}"
    elif failed:
        names = [text.partition(": ")[0] for text in failed]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        yield f"{len(names)} runs failed: {', '.join(names[:NAMED])}{more}; the first: {failed[0]}"


def _decided(race: Race) -> str:
    """What is told of a race that is over; nothing if it found nothing."""
    found = answer(race.record, race.runs)
    if found is None:
        return ""
    best = found.ranking[0]
    spread = f" ± {points(best.test_std)}" if best.test_std is not None else ""
    return clean(f"race {_short(race.name)} is decided: {best.arm}, {best.metric} {points(best.test)}{spread} (test)")


def _done(runs: Mapping[str, FoundRun], impossible: Set[str]) -> str:
    states = Counter(_ways(runs.values(), impossible))
    return f"done: {', '.join(f'{number} {state}' for state, number in states.items())}"


def _ways(runs: Iterable[FoundRun], impossible: Set[str]) -> Iterator[str]:
    """How runs have ended, in the words of a sum; arms that rest are not counted."""
    words = {Done: "finished", Cancelled: "cancelled", **dict.fromkeys(FAILED, "failed")}
    for kind, word in words.items():
        yield from (word for run in runs if isinstance(run.status, kind))
    yield from ("cannot start" for run in runs if run.name in impossible)
