"""The verdicts on the searches of runs, computed from their structure files: those of any version have one."""

from __future__ import annotations

import time
from collections.abc import Mapping

from core.run.errors import RunDirError
from core.run.methods import method_of
from core.run.structure import Structure, read_structure
from core.run.verdict import Verdict, verdict
from s3tui.runs.workspace import FoundRun


def searches(run: FoundRun) -> bool:
    """Whether the method of a run searches with probabilities or scores, on which there can be a verdict."""
    method = method_of(run.spec.get("method"))
    return method.searches and method.gates


def structure_of(run: FoundRun) -> Structure | None:
    """The structure of a run; None if it has chosen none yet, or its file is damaged."""
    try:
        return read_structure(run.directory.structure)
    except RunDirError:
        return None


def judged(run: FoundRun, structure: Structure | None) -> Verdict | None:
    """The verdict on a run whose structure is known."""
    if structure is None or not searches(run):
        return None
    left = run.summary.get("prunings_left")
    if left is None and "ended_early" in run.summary:  # of versions that did not count them: it ended with the last one
        left = 0
    return verdict(structure, method_of(run.spec.get("method")).by, left)


def verdict_of(run: FoundRun) -> Verdict | None:
    """The verdict on a run's search; None if it does not search or has chosen nothing yet. Reads its structure."""
    return judged(run, structure_of(run)) if searches(run) else None


class Verdicts:
    """The verdicts of many runs, each computed when its structure is new, for a limited time at once."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[int, int], Verdict | None]] = {}
        self._waiting: dict[str, FoundRun] = {}

    @property
    def is_behind(self) -> bool:
        """Whether structures are still to be read."""
        return bool(self._waiting)

    def get(self, name: str) -> Verdict | None:
        """The verdict on a run; None if there is none, or it has not been computed yet."""
        return self._known[name][1] if name in self._known else None

    def note(self, runs: Mapping[str, FoundRun | None]) -> None:
        """Note which of the changed runs have a new structure; None stands for a run that is gone."""
        for name, run in runs.items():
            stamp = _stamp(run) if run is not None and searches(run) else None
            if run is None or stamp is None:
                self._known.pop(name, None)
                self._waiting.pop(name, None)
            elif name not in self._known or self._known[name][0] != stamp:
                self._waiting[name] = run

    def advance(self, seconds: float) -> set[str]:
        """Read structures that are new; returns the names of their runs."""
        deadline, read = time.monotonic() + seconds, set()
        while self._waiting and time.monotonic() < deadline:
            name = next(iter(self._waiting))
            run = self._waiting.pop(name)
            # Taken before it is read, so that a change meanwhile is noticed the next time.
            stamp = _stamp(run)
            if stamp is not None:
                self._known[name] = (stamp, verdict_of(run))
                read.add(name)
        return read


def _stamp(run: FoundRun) -> tuple[int, int] | None:
    """By which a replaced structure file is recognised; None if there is none."""
    try:
        found = run.directory.structure.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino
