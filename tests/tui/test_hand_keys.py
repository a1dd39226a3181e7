"""Keys as hands know them from vi and less, each with one meaning on a screen, and a help that lists them by task."""

import pytest
from processes import SUITE

from s3tui.race.record import Record, Rules, write_race
from s3tui.tui.screens.compare import PANES as COMPARED
from s3tui.tui.screens.race import Race
from s3tui.tui.screens.run import PANES
from s3tui.tui.screens.suite_preview import PreviewSuite
from s3tui.tui.screens.tabbed import Tabbed
from s3tui.tui.support.keys import task_of


@pytest.fixture
def many(script):
    for number in range(60):
        script.queued(f"first/run-{number:02d}", wanted="held")
    return script


def cursor(app):
    return app.app.screen.grid.cursor_key


async def test_a_table_is_walked_as_in_vi(many, opened):
    async with opened(size=(80, 24)) as app:
        await app.press("G")
        assert cursor(app) == "first/run-59"
        await app.press("g", "k", "g")
        assert cursor(app) == "first/run-58", "a single g does nothing"
        await app.press("g")
        assert cursor(app) == "first/run-00"
        await app.press("ctrl+d")
        half = int(cursor(app)[-2:])
        assert 2 <= half < app.app.screen.grid.size.height - 1
        await app.press("pagedown", "ctrl+u")
        assert half < int(cursor(app)[-2:]) < 59


async def test_every_table_is_searched_and_n_goes_on(many, opened):
    async with opened() as app:
        await app.press("slash")
        await app.write("RUN-4")
        await app.press("enter")
        await app.until(lambda: cursor(app) == "first/run-40")
        await app.press("n", "n")
        assert cursor(app) == "first/run-42"
        await app.press("N", "N", "N")
        assert cursor(app) == "first/run-49", "before the first the last comes"
        await app.press("slash", *["backspace"] * 5)
        await app.write("nowhere")
        await app.press("enter")
        await app.until(lambda: app.shows("nothing has 'nowhere'"))
        assert cursor(app) == "first/run-49"


async def test_a_range_is_marked_where_the_cursor_goes(many, opened):
    async with opened() as app:
        screen = app.app.screen
        await app.press("space", "j", "v", "j", "j", "k")
        await app.until(lambda: app.shows("3 marked", "v ends the range"))
        assert screen.chosen_names == ["first/run-00", "first/run-02", "first/run-03"]
        await app.press("v", "G")
        assert len(screen.chosen_names) == 3
        await app.press("v", "k", "escape")
        assert len(screen.chosen_names) == 3, "escape takes the range back, and no more"


async def test_the_text_of_a_row_and_of_a_log_can_be_copied(script, opened, monkeypatch):
    script.finished("first/done", log=["loading", "ready"])
    copied = []
    async with opened() as app:
        monkeypatch.setattr(app.app, "copy_to_clipboard", copied.append)
        await app.press("y", "r")
        await app.until(lambda: copied and copied[0].split("\t")[:2] == ["✓ finished", "done"])
        await app.press("enter", "5")
        await app.until(lambda: app.shows("ready", "2 lines"))
        await app.press("y", "l")
        await app.until(lambda: copied[1:] == ["loading\nready"])


async def test_a_colon_finds_actions_by_name_and_quit_is_there_once(script, opened):
    script.finished("first/done")
    async with opened() as app:
        names = [command.title for command in app.app.get_system_commands(app.app.screen)]
        assert names.count("Quit") == names.count("Theme") == names.count("Help") == 1
        await app.press("colon")
        await app.until(lambda: type(app.app.screen).__name__ == "CommandPalette")


def bound_twice(app):
    """The keys with several meanings: the widget in front takes them, and the screen or the app wants them, too.

    Enter opens what is under the cursor, whether the table or its screen says so.
    """
    meanings = {}
    for _, bindings in app.app.screen._binding_chain:
        for key, found in bindings.key_to_bindings.items():
            meanings.setdefault(key, []).extend(binding.action for binding in found if task_of(binding))
    return {key: actions for key, actions in meanings.items() if len(actions) > 1 and key != "enter"}


@pytest.fixture
def varied(script, tmp_path, monkeypatch):
    """A workspace with something for every screen."""
    monkeypatch.chdir(tmp_path)
    script.finished("first/done")
    script.finished("first/other", score=0.6)
    script.queued("first/best/seed=0", "held")
    write_race(script.workspace.path / "first/best", Record(Rules((10, 20)), ("best/seed=0",), (9,)))
    (tmp_path / "suite.toml").write_text(f"{SUITE}[experiment.a]\n")


async def every_screen(app):
    """Go to every screen and tab, one after the other; the name of each, once it is in front."""
    yield "runs"
    app.app.screen.go_to("first/best/seed=0")
    await app.press("A")
    await app.until(lambda: isinstance(app.app.screen, Race))
    yield "race"
    await app.press("escape")
    app.app.screen.go_to("first/done")
    for keys, panes in ((["enter"], PANES), (["a", "c"], COMPARED)):
        await app.press(*keys)
        await app.until(lambda panes=panes: isinstance(app.app.screen, Tabbed) and app.app.screen.PANES is panes)
        for number, name in enumerate(panes, 1):
            await app.press(str(number))
            await app.until(lambda name=name: app.app.screen.pane.parent.id == name.lower())
            yield name
        await app.press("escape")
    await app.press("S")
    await app.until(lambda: app.app.screen.grid.rows)
    yield "suites"
    await app.press("enter")
    await app.until(lambda: isinstance(app.app.screen, PreviewSuite))
    yield "suite"


@pytest.mark.usefixtures("varied")
async def test_no_key_has_two_meanings_on_a_screen(opened):
    async with opened() as app:
        async for name in every_screen(app):
            assert not bound_twice(app), name


@pytest.mark.usefixtures("varied")
async def test_the_footer_always_says_how_to_leave_and_how_to_find_help(opened):
    async with opened(size=(80, 24)) as app:
        async for name in every_screen(app):
            ways = ["q Quit", "? Help"] if name == "runs" else ["esc Back", "q Quit", "? Help"]
            for size in ((80, 24), (40, 24), (200, 24), (80, 24)):
                await app.pilot.resize_terminal(*size)
                await app.until(lambda ways=ways: all(way in app.text.splitlines()[-1] for way in ways))


async def test_the_help_lists_keys_by_task(script, opened):
    script.finished("first/done")
    async with opened(size=(120, 80)) as app:
        await app.press("question_mark")
        await app.until(lambda: app.shows("What is shown", "Runs and the queue", "Move and find", "The app"))
        lines = app.text.splitlines()
        shown = ("Runs and the queue", "Stop with a checkpoint (s3tui stop)", "Move and find")
        task, stop, following = (next(y for y, line in enumerate(lines) if text in line) for text in shown)
        assert task < stop < following
