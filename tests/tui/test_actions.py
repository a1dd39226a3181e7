"""What a person does to runs by keys happens to the real processes and files, and nothing is lost unasked."""

import os

import pytest
from textual.screen import ModalScreen

from s3tui.runs.workspace import read_run
from s3tui.tui.dialogs.question import Choose


def status(script, name):
    return read_run(script.workspace.run(name), name).status.name


async def test_stop_ends_a_live_run_and_resume_queues_it_again(script, opened):
    script.living("first/live")
    async with opened() as app:
        await app.until(lambda: app.shows("● running"))
        await app.press("p", "s")  # the queue is paused first, so that it is not started again at once
        await app.until(lambda: status(script, "first/live") == "paused")
        await app.until(lambda: app.shows("■ paused"))
        await app.press("u")
        await app.until(lambda: app.shows("○ queued", "the queue is paused"))


async def test_cancelling_what_runs_asks_first(script, opened):
    script.living("first/live")
    async with opened() as app:
        await app.until(lambda: app.shows("● running"))
        await app.press("x")
        await app.until(lambda: isinstance(app.app.screen, Choose))
        assert app.shows("since the last checkpoint is lost")
        await app.press("escape")
        assert status(script, "first/live") == "running"
        await app.press("x", "y")
        await app.until(lambda: status(script, "first/live") == "cancelled")


async def test_cancelling_what_waits_does_not_ask(script, opened):
    script.workspace.pause.touch()
    script.queued("first/waits")
    async with opened() as app:
        await app.press("x")
        await app.until(lambda: status(script, "first/waits") == "cancelled")
        await app.press("r")
        await app.until(lambda: status(script, "first/waits") == "queued")


async def test_deleting_asks_and_takes_all_that_is_marked(script, opened):
    for number in range(3):
        script.finished(f"first/{number}")
    async with opened() as app:
        await app.press("home", "space", "space", "d")
        await app.until(lambda: app.shows("2 runs, for good"))
        await app.press("n")
        assert len(script.workspace.names()) == 3
        await app.press("d", "y")
        await app.until(lambda: script.workspace.names() == ["first/2"])
        await app.until(lambda: len(app.app.screen.grid.rows) == 1)


async def test_an_action_that_makes_no_sense_says_why(script, opened):
    script.finished("first/done")
    async with opened() as app:
        await app.press("s")
        await app.until(lambda: app.shows("first/done is finished"))


async def test_priority_is_asked_for(script, opened):
    script.workspace.pause.touch()
    script.queued("first/waits")
    async with opened() as app:
        await app.press("P")
        await app.press("backspace", "7", "enter")
        await app.until(lambda: app.app.snapshot.lines["first/waits"].priority == 7)


async def test_copying_gives_the_path(script, opened, monkeypatch):
    script.finished("first/done")
    copied = []
    async with opened() as app:
        monkeypatch.setattr(app.app, "copy_to_clipboard", copied.append)
        await app.press("y", "p")
        await app.until(lambda: copied == [str(script.workspace.run("first/done").path)])


async def test_the_app_dispatches_while_nobody_else_does(script, opened):
    script.queued("first/waits", model="succeed")
    async with opened() as app:
        await app.until(lambda: status(script, "first/waits") == "finished")
        await app.until(lambda: app.shows("✓ finished"))
        assert script.workspace.dispatcher()["pid"] == os.getpid()


async def test_quitting_leaves_queued_runs_to_a_dispatcher_of_their_own(script, opened):
    script.living("first/live")
    script.workspace.pause.touch()
    script.queued("first/waits", model="succeed")
    async with opened() as app:
        await app.until(lambda: app.shows("● running"))
        await app.press("q")
        await app.until(lambda: app.shows("leave them running in the background"))
        await app.press("enter")
    assert app.app.left.goes_on
    assert app.app.left.running == 1
    assert script.workspace.dispatcher()["pid"] != os.getpid()
    assert status(script, "first/live") == "running"


async def test_quitting_can_stop_everything_or_be_taken_back(script, opened):
    script.living("first/live")
    async with opened() as app:
        await app.until(lambda: app.shows("● running"))
        await app.press("q", "escape")
        assert app.app.is_running
        await app.press("q", "s")
    await app.until(lambda: status(script, "first/live") == "paused")


async def test_help_lists_the_keys_of_the_screen(script, opened):
    script.finished("first/done")
    async with opened() as app:
        await app.press("question_mark")
        await app.until(lambda: app.shows("Keys: runs", "Stop with a checkpoint (s3tui stop)"))
        await app.press("escape", "enter", "question_mark")
        await app.until(lambda: app.shows("Keys: run", "Back to the runs"))


async def test_the_palette_holds_every_action(script, opened):
    script.finished("first/done")
    async with opened() as app:
        names = {command.title for command in app.app.get_system_commands(app.app.screen)}
        assert {"Stop", "Resume", "Retry", "Cancel", "Priority", "Delete", "Export", "New", "Compare", "Help"} <= names


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
async def test_a_workspace_that_may_not_be_written_is_shown_read_only(script, opened):
    script.finished("first/done")
    script.workspace.shared.chmod(0o500)
    try:
        async with opened() as app:
            await app.until(lambda: app.shows("read-only"))
            await app.press("d", "y")
            assert script.workspace.names() == ["first/done"]
    finally:
        script.workspace.shared.chmod(0o700)


async def test_somebody_elses_workspace_is_shown_read_only(script, opened, monkeypatch):
    script.finished("first/done")
    script.living("first/live")
    monkeypatch.setattr(os, "geteuid", lambda: script.workspace.path.stat().st_uid + 1)
    async with opened() as app:
        await app.until(lambda: app.shows("read-only"))
        await app.press("a")
        for key in ("s", "u", "r", "x", "p", "P", "d", "D"):
            app.app.clear_notifications()
            await app.press(key)
            assert not isinstance(app.app.screen, ModalScreen), f"{key} asks before it refuses"
            await app.until(lambda: any("read-only" in note.message for note in app.app._notifications))
        assert script.workspace.names() == ["first/done", "first/live"]


async def test_escape_sequences_in_names_and_logs_are_harmless(script, opened):
    script.finished(
        "first/evil\x1b]52;c;ZXZpbA==\x07name", log=["\x1b[31mred\x1b[0m [bold]not markup[/nothing] \x9b5n"]
    )
    async with opened() as app:
        await app.until(lambda: app.shows("[bold]not markup[/nothing]"))
        assert "\x1b" not in app.text
        assert "\x9b" not in app.text
        await app.press("enter")
        await app.until(lambda: app.shows("evil"))
