"""Opening the app starts nothing by surprise: who starts queued runs is asked once, and can be changed by a key."""

import json
from dataclasses import replace

import pytest

from s3tui.notify.record import change, set_targets
from s3tui.runs.workspace import read_run
from s3tui.tui.dialogs.ask_seat import AskSeat
from s3tui.tui.screens.runs import Runs
from s3tui.tui.support.seat import Seat


@pytest.fixture
def waits(script):
    script.queued("first/waits", model="succeed")
    return lambda: read_run(script.workspace.run("first/waits"), "first/waits").status.name


async def test_queued_runs_are_asked_about_once_and_wait_for_the_answer(waits, opened, script):
    async with opened(seat=Seat.UNDECIDED) as app:
        await app.until(lambda: isinstance(app.app.screen, AskSeat) and app.shows("1 run waits", "start them here"))
        await app.press("w")
        await app.until(lambda: isinstance(app.app.screen, Runs) and app.shows("nobody starts queued runs: D does"))
        script.queued("first/later", "held")
        await app.until(lambda: app.shows("■ paused"))
        assert isinstance(app.app.screen, Runs), "it does not ask again"
        assert waits() == "queued"
        assert script.workspace.dispatcher() is None
        await app.press("D")
        await app.until(lambda: waits() == "finished")


async def test_they_start_here_where_that_is_the_answer(waits, opened):
    async with opened(seat=Seat.UNDECIDED) as app:
        await app.until(lambda: isinstance(app.app.screen, AskSeat))
        await app.press("enter")
        await app.until(lambda: waits() == "finished")


async def test_whoever_only_watches_is_not_asked_and_the_seat_can_be_left_again(waits, opened, script):
    async with opened(seat=Seat.LEFT) as app:
        await app.until(lambda: app.shows("nobody starts queued runs"))
        assert isinstance(app.app.screen, Runs)
        assert waits() == "queued"
        script.workspace.pause.touch()
        await app.press("D")
        await app.until(lambda: script.workspace.dispatcher() is not None)
        await app.press("D")
        await app.until(lambda: app.shows("you only watch now"))
        await app.until(lambda: script.workspace.dispatcher() is None)
        script.workspace.pause.unlink()
        await app.until(lambda: app.shows("nobody starts queued runs") and not app.shows("the queue is paused"))
        assert waits() == "queued"
    assert not app.app.left.goes_on


async def test_the_app_rings_for_a_notification_and_says_which_could_not_be_sent(opened, script, monkeypatch):
    rung = []
    script.workspace.make()
    set_targets(script.workspace, "first", ("bell",))
    async with opened(seat=Seat.LEFT) as app:
        monkeypatch.setattr(app.app, "bell", lambda: rung.append(1))
        change(script.workspace, "first", lambda n: replace(n, count=1, warned=1, warning="no way to https://h/…"))
        await app.until(lambda: rung and app.shows("no way to https://h/…"))
        assert len(rung) == 1


async def test_a_run_that_broke_off_does_not_start_again_unasked(opened, script):
    queue = script.failed("first/broken").queue
    queue.write_text(json.dumps(json.loads(queue.read_text()) | {"wanted": "queued"}))
    async with opened(seat=Seat.UNDECIDED) as app:
        await app.until(lambda: isinstance(app.app.screen, AskSeat) and app.shows("may start again"))
        await app.press("escape")
        await app.until(lambda: isinstance(app.app.screen, Runs))
        assert script.workspace.dispatcher() is None


async def test_where_nothing_is_queued_the_app_takes_the_seat_unasked(opened, script):
    script.finished("first/done")
    async with opened(seat=Seat.UNDECIDED) as app:
        await app.until(lambda: script.workspace.dispatcher() is not None and not app.app.snapshot.dispatcher)
        assert isinstance(app.app.screen, Runs)
