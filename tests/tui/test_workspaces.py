"""Several workspaces in one app: those that were shown lately are a key away."""

import pytest
from processes import nothing_left
from scripted import Script

from s3tui.tui.dialogs.ask_seat import AskSeat
from s3tui.tui.support.memory import Memory, Shown
from s3tui.tui.support.seat import Seat


@pytest.fixture
def other(tmp_path):
    with nothing_left(tmp_path / "other"):
        script = Script(tmp_path / "other")
        yield script
        script.close()


async def test_another_workspace_is_shown_in_its_own_way_and_starts_nothing_unasked(script, other, opened, tmp_path):
    script.finished("first/here")
    other.finished("second/there")
    other.queued("second/waits")
    memory = Memory(tmp_path / "state.json")
    memory.keep(tmp_path / "gone", Shown())
    memory.keep(other.workspace.path, Shown(sort="-name"))
    async with opened(memory=memory, seat=Seat.UNDECIDED) as app:
        await app.press("f")
        await app.write("here")
        await app.press("enter", "W")
        await app.until(lambda: app.shows("Workspaces", "other", "gone"))
        await app.press("down", "enter")
        await app.until(lambda: app.shows("is not there any more"))
        await app.press("W", "enter")
        await app.until(lambda: isinstance(app.app.screen, AskSeat))
        await app.press("w")
        await app.until(lambda: [row.key for row in app.app.screen.grid.rows] == ["second/waits", "second/there"])
        assert other.workspace.dispatcher() is None
        await app.press("W", "enter")
        await app.until(lambda: [row.key for row in app.app.screen.grid.rows] == ["first/here"] and app.shows("1 of 1"))
