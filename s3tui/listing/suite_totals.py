"""Totals of each suite: the number of runs in each state, and the estimated time until all are finished."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from core.run.events import Phase, Step, from_line
from core.run.rundir import open_plain
from s3tui.listing.run_row import Line
from s3tui.runs.status import STATES

TAIL_BYTES = 65536  # of an event file: enough steps to estimate the pace


@dataclass(frozen=True)
class Overview:
    """One suite: the number of runs in each state, and the estimated remaining seconds (None if unknown)."""

    suite: str
    counts: Mapping[str, int]
    eta: float | None

    @property
    def runs(self) -> int:
        """The number of all runs."""
        return sum(self.counts.values())


def overviews(lines: Iterable[Line], left: Mapping[str, float | None]) -> list[Overview]:
    """The totals of each suite; `left` are the remaining seconds of the phase of each running run."""
    suites: dict[str, list[Line]] = {}
    for line in lines:
        suites.setdefault(line.suite, []).append(line)
    return [
        Overview(
            suite, {state: sum(line.status == state for line in of_suite) for state in STATES}, _eta(of_suite, left)
        )
        for suite, of_suite in sorted(suites.items())
    ]


def _eta(lines: Iterable[Line], left: Mapping[str, float | None]) -> float | None:
    """Estimate from the durations of finished runs, with as many runs at a time as now."""
    lines = list(lines)
    done = [line.seconds for line in lines if line.status == "finished" and line.seconds is not None]
    usual = sum(done) / len(done) if done else None
    running = [line for line in lines if line.status in ("running", "quiet")]
    waiting = sum(line.status == "queued" for line in lines)
    if waiting and usual is None:
        return None
    needed = waiting * (usual or 0.0)
    for line in running:
        of_phase = left.get(line.name)
        rest = None if usual is None else max(0.0, usual - (line.seconds or 0.0))
        known = [seconds for seconds in (of_phase, rest) if seconds is not None]
        if not known:
            return None
        needed += max(known)
    return needed / max(1, len(running))


def seconds_left(events: Path, total: int | None) -> float | None:
    """The estimated remaining seconds of the current phase, at the pace of its last steps."""
    try:
        with open_plain(events) as file:
            file.seek(max(0, file.seek(0, 2) - TAIL_BYTES))
            found = [event for line in file.read().split(b"\n")[:-1] if (event := from_line(line)) is not None]
    except OSError:
        return None
    steps: list[Step] = []
    for event in found:
        if isinstance(event, Phase):
            steps, total = [], event.total
        elif isinstance(event, Step):
            steps.append(event)
    if len(steps) < 2 or not total:
        return None
    done, seconds = steps[-1].step - steps[0].step, steps[-1].t - steps[0].t
    return max(0, total - steps[-1].step) * seconds / done if done > 0 and seconds >= 0 else None
