"""The runs of a job array are one row until it is unfolded or over; the log of each follows as a local one does."""

from dataclasses import replace

import pytest

from s3tui.listing.arrays import Array, with_arrays
from s3tui.runs.records.job import Job, read_job, write_job
from s3tui.tui.screens.run import Run
from s3tui.tui.support.seat import Seat

ROW = "\0array ab12"
NAMES = [f"first/array/seed={seed}" for seed in range(3)]


@pytest.fixture
def array(script):
    """A finished task of an array, one at work, one that waits, and a run that is in no array."""
    script.finished(NAMES[0], seed=0, score=0.7)
    script.queued(NAMES[1], seed=1).log.write_text("loading\n")
    script.queued(NAMES[2], seed=2)
    script.finished("first/alone", score=0.6)
    phases = (("ended", "COMPLETED"), ("working", "RUNNING"), ("waiting", "PENDING"))
    for task, (name, (phase, state)) in enumerate(zip(NAMES, phases, strict=True)):
        write_job(script.workspace.run(name), Job("slurm", "ab12", task, f"4711_{task}", phase, state=state))
    return script


def names(app):
    return [row.key for row in app.app.screen.grid.rows]


async def test_an_array_is_one_row_that_enter_unfolds(array, opened):
    async with opened(seat=Seat.LEFT) as app:
        await app.until(lambda: app.shows("▸ array 4711: 3 runs", "1/3 done", "70.00"))
        assert names(app) == [ROW, "first/alone"]
        app.app.screen.grid.move_to(ROW)
        assert sorted(app.app.screen.chosen_names) == NAMES, "actions apply to all of the array"
        await app.press("enter")
        await app.until(lambda: app.shows("▾ array 4711") and set(NAMES) < set(names(app)))
        await app.press("enter")
        await app.until(lambda: names(app) == [ROW, "first/alone"])
        app.app.screen.go_to(NAMES[1])
        await app.until(lambda: app.app.screen.grid.cursor_key == ROW)
        # Other ways to look show the runs themselves.
        app.app.screen._set_group("status")
        assert set(NAMES) < set(names(app))


async def test_the_log_of_a_task_follows(array, opened):
    run = array.workspace.run(NAMES[1])
    async with opened(seat=Seat.LEFT) as app:
        await app.until(lambda: ROW in names(app))
        app.app.screen.grid.move_to(ROW)
        await app.press("enter")
        await app.until(lambda: NAMES[1] in names(app))
        app.app.screen.grid.move_to(NAMES[1])
        await app.until(lambda: app.shows("loading"))
        with run.log.open("a") as log:
            log.write("searching on node 3\n")
        await app.until(lambda: app.shows("searching on node 3"))
        await app.press("enter")
        await app.until(lambda: isinstance(app.app.screen, Run))


async def test_an_array_that_is_over_is_folded_no_more(array, opened):
    for name in NAMES[1:]:
        run = array.workspace.run(name)
        write_job(run, replace(read_job(run), phase="ended", state="COMPLETED"))
    async with opened(seat=Seat.LEFT) as app:
        await app.until(lambda: set(names(app)) == {*NAMES, "first/alone"})


def test_a_job_alone_is_no_array(array):
    jobs = {NAMES[1]: read_job(array.workspace.run(NAMES[1]))}

    class Line:
        name = NAMES[1]

    assert not any(isinstance(item, Array) for item in with_arrays([Line()], jobs))
