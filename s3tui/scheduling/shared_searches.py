"""Runs that differ in retraining alone share one search: which of them searches, which wait for it and then take it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from core.run.errors import RunDirError
from core.run.methods import method_of
from core.run.searched import take
from s3tui.runs.records.launch import LOCAL
from s3tui.runs.records.queue import Queue, read_queue
from s3tui.runs.status import Damaged, Queued, Quiet, Running
from s3tui.runs.workspace import FoundRun, Workspace
from s3tui.system.file_locks import locked


class SharedSearches:
    """The searches of a workspace, for its dispatcher. All it decides follows from the files of the runs."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def settle(
        self, ready: Sequence[FoundRun], runs: Mapping[str, FoundRun], impossible: Collection[str]
    ) -> dict[str, str]:
        """Copy into runs that could start the search that another has done; why each of the others has to wait.

        `ready` are in the order of their turn: of several that need the same search, the first one starts. A run that
        has begun waits for none. `impossible` are runs that can never start.
        """
        to_search = [run for run in ready if _needs_search(run)]
        groups = _groups(runs) if to_search else {}
        waits: dict[str, str] = {}
        ahead = [run for run in runs.values() if _is_under_way(run) and _needs_search(run)]
        for run in to_search:
            others = [
                other for other in groups[run.search_digest] if other.name != run.name and not _is_older(other, run)
            ]
            if not _has_begun(run):
                if any(self._take(run, other) for other in others):
                    continue
                first = next((one for one in ahead if one in others and _is_awaited(one, run)), None)
                if first is not None:
                    waits[run.name] = f"waiting for the search of {first.name}"
                    continue
            if run.name not in impossible:
                ahead.append(run)
        return waits

    def _take(self, run: FoundRun, source: FoundRun) -> bool:
        """Copy the search of another run, if it is over; whether that was done."""
        if not source.directory.search.exists():
            return False
        try:
            # Runs are made anew under this lock: what is replaced meanwhile is given nothing.
            with locked(self._workspace.submitting):
                if read_queue(run.directory) != run.queue:
                    return False
                take(run.directory, source.directory, source.name)
        except RunDirError:
            return False
        return True


def _groups(runs: Mapping[str, FoundRun]) -> dict[str, list[FoundRun]]:
    """The runs that search, by their search."""
    groups: dict[str, list[FoundRun]] = {}
    for run in runs.values():
        if method_of(run.spec.get("method")).searches and not isinstance(run.status, Damaged):
            groups.setdefault(run.search_digest, []).append(run)
    return groups


def _needs_search(run: FoundRun) -> bool:
    """Whether a run has a search before it, or the rest of one."""
    if not method_of(run.spec.get("method")).searches or run.directory.search.exists():
        return False
    return not any(run.directory.checkpoint.glob("retrain-*"))  # of versions that kept no search


def _has_begun(run: FoundRun) -> bool:
    """Whether a run has a checkpoint of its own search, or of the cut after it."""
    return any(any(run.directory.checkpoint.glob(f"{phase}-*")) for phase in ("search", "cut"))


def _is_under_way(run: FoundRun) -> bool:
    """Whether a run works, or waits in the queue of a cluster."""
    submitted = isinstance(run.status, Queued) and run.job is not None and run.job.lives
    return submitted or isinstance(run.status, (Running, Quiet))


def _is_awaited(one: FoundRun, run: FoundRun) -> bool:
    """Whether it is worth waiting for the search of `one`: it runs, or starts where the other is to start."""
    return not isinstance(one.status, Queued) or _launcher(one) == _launcher(run)


def _launcher(run: FoundRun) -> str:
    return run.queue.launch.kind if run.queue else LOCAL


def _is_older(source: FoundRun, run: FoundRun) -> bool:
    """Whether a run was made by `--fresh` after the other, whose search it is then to repeat."""
    return (source.queue or Queue()).fresh < (run.queue or Queue()).fresh
