"""Runs that a cluster works on as one array of jobs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from s3tui.listing.grouping import Group
from s3tui.listing.run_row import Line
from s3tui.runs.records.job import Job


@dataclass(frozen=True)
class Array:
    """The runs of an array; `group` is named by the launcher and its id of the array."""

    batch: str
    group: Group

    @property
    def running(self) -> int:
        """The number of runs that are at work."""
        return sum(line.status in ("running", "quiet") for line in self.group.lines)

    @property
    def waiting(self) -> int:
        """The number of runs that wait."""
        return sum(line.status == "queued" for line in self.group.lines)


def with_arrays(lines: Iterable[Line], jobs: Mapping[str, Job]) -> list[Line | Array]:
    """The lines, those of an array as one item, in the place of the first of them.

    An array is what was submitted together, two runs or more, while its cluster has yet to do something with one of
    them; after that its runs are as any others.
    """
    lines = list(lines)
    batches: dict[str, list[Line]] = {}
    for line in lines:
        if (job := jobs.get(line.name)) is not None:
            batches.setdefault(job.batch, []).append(line)
    folded = {
        batch: _array(batch, members, jobs[members[0].name])
        for batch, members in batches.items()
        if len(members) > 1 and any(jobs[line.name].lives for line in members)
    }
    items: list[Line | Array] = []
    for line in lines:
        array = folded.get(jobs[line.name].batch) if line.name in jobs else None
        if array is None:
            items.append(line)
        elif array.group.lines[0] is line:
            items.append(array)
    return items


def _array(batch: str, lines: list[Line], job: Job) -> Array:
    return Array(batch, Group(job.launcher, job.id.partition("_")[0] or batch, tuple(lines)))
