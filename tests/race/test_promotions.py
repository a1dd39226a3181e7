"""What a decision does to arms, by the files that it leaves."""

import pytest

from core.run.events import Eval, EventWriter, Phase, Started
from core.run.limit import Limit, read_limit, write_limit
from s3tui.race.record import Record, Rules, write_race
from s3tui.runs.index import Board
from s3tui.runs.records.job import Job, write_job
from s3tui.runs.records.queue import Queue
from s3tui.runs.workspace import Workspace
from s3tui.scheduling.races import advance

SPEC = {
    "model": "m", "task": {"name": "t"}, "space": {"name": "s"}, "method": "random", "budget": 9, "seed": 0,
    "device": "auto", "search": {"selection": "p", "temperature": 1.0},
}  # fmt: skip


@pytest.fixture
def arm(tmp_path):
    """The only arm of a race, queued again after a kill, which has its score at the first rung."""
    workspace = Workspace(tmp_path)
    workspace.make()
    directory = workspace.run("first/best/seed=0")
    directory.create(SPEC)
    write_limit(directory, Limit(10))
    workspace.queue.put(directory, Queue(wanted="queued"))
    writer = EventWriter(directory.events)
    writer.write(Started("0", 1, 1, "cpu", "fp32", {}))
    writer.write(Phase("retrain", 20))
    writer.write(Eval("retrain", 10, "validation", {"accuracy": 0.5}, True))
    write_race(tmp_path / "first/best", Record(Rules((10, 20), final=1, confirm=1), ("best/seed=0",), (1,)))
    return directory


def limit_after_a_round(directory):
    board = Board(Workspace(directory.path.parents[2]))
    board.refresh()
    advance(board)
    return read_limit(directory).steps


def test_an_arm_that_waits_to_start_again_goes_on_to_the_next_rung(arm):
    assert limit_after_a_round(arm) == 20


def test_an_arm_whose_job_lives_pauses_at_its_rung_first(arm):
    # The job may run already: it would pause there, and be taken for one that was stopped by hand short of its limit.
    write_job(arm, Job("slurm", "batch", 0, id="7_0", phase="waiting"))
    assert limit_after_a_round(arm) == 10
