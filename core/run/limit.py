"""How far a run may go for now (`limit.json`): up to a step of its retraining, where it leaves a checkpoint and ends.

The file is no part of the settings of a run: the same run goes on when its limit is raised, with the schedule of its
whole length. A run without the file goes to its end.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from core.run.fields import Positive
from core.run.rundir import RunDir, read_record_if_there, write_json


@dataclass(frozen=True)
class Limit:
    """The content of `limit.json`: the run ends after `steps` steps of retraining, before the test split is read."""

    steps: Positive


def read_limit(run: RunDir) -> Limit | None:
    """The limit of a run, None if it has none; raises RunDirError if the file is damaged."""
    return read_record_if_there(run.limit, Limit)


def write_limit(run: RunDir, limit: Limit) -> None:
    """Set the limit of a run, which its next attempt reads at its start."""
    write_json(run.limit, {"v": 1} | asdict(limit))
