"""The start of the app: all runs, filtered, sorted, grouped and marked by keys, live."""

import random
from dataclasses import replace

import pytest

from s3tui.listing.columns import COLUMNS
from s3tui.listing.run_row import line_of
from s3tui.runs.workspace import read_run
from s3tui.tui.screens.runs import Runs
from s3tui.tui.tables.run_rows import ALWAYS, TellingColumns, shown_columns


@pytest.fixture
def filled(script):
    """Three seeds of a search, a baseline, and runs that have come to nothing."""
    for seed, score in enumerate((0.70, 0.72, 0.68)):
        script.finished(f"first/searched/seed={seed}", seed=seed, score=score)
    script.finished("first/by-chance", method="random", score=0.65)
    script.failed("first/broken")
    script.damaged("first/damaged")
    script.queued("first/held", wanted="held")
    return script


def names(driver):
    return [row.key for row in driver.app.screen.grid.rows]


def cursor(driver):
    return driver.app.screen.grid.cursor_key


async def test_every_run_is_a_row_with_its_state_in_words(filled, opened):
    async with opened() as app:
        assert len(names(app)) == 7
        assert app.shows("✓ finished", "✗ failed", "! damaged", "■ paused", "70.00")
        assert app.shows("1 failed", "4 finished")


async def test_an_empty_workspace_says_what_to_do_next(script, opened):
    async with opened() as app:
        assert app.shows("No runs in this workspace yet", "start a suite")


async def test_the_filter_narrows_as_one_types_and_escape_clears_it(filled, opened):
    async with opened() as app:
        await app.press("f")
        await app.write("status:finished")
        assert len(names(app)) == 4
        await app.write(" test>69")
        assert names(app) == ["first/searched/seed=0", "first/searched/seed=1"]
        await app.press("enter")
        assert app.app.focused is app.app.screen.grid
        await app.press("escape")
        assert len(names(app)) == 7


async def test_a_filter_that_is_none_says_so_and_keeps_the_rows(filled, opened):
    async with opened() as app:
        await app.press("f")
        await app.write("colour:red")
        assert app.shows("there is no 'colour'")
        assert len(names(app)) == 7


async def test_sorting_by_a_column_and_turning_it_round(filled, opened):
    async with opened() as app:
        for _ in range(2):
            await app.press("o")
            await app.press("home", *["down"] * 9, "enter")
        scored = [app.app.snapshot.lines[name].score for name in names(app)]
        assert scored[:4] == [0.72, 0.70, 0.68, 0.65]
        assert app.shows("test▼")


async def test_a_click_on_a_title_sorts(filled, opened):
    async with opened() as app:
        await app.pilot.click("#runs", offset=(2, 1))
        await app.pilot.pause()
        assert app.shows("status▲")


async def test_groups_show_mean_and_spread_of_their_seeds(filled, opened):
    async with opened() as app:
        await app.press("b", "home", "down", "down", "enter")
        assert app.shows("method = s3", "3/5 done", "70.00", "± 2.00", "method = random")


async def test_grouping_offers_settings_that_differ_but_not_the_seed(filled, opened):
    filled.finished("first/other", search={"temperature": 0.5})
    async with opened() as app:
        await app.press("b")
        assert app.shows("search.temperature")
        assert not app.shows("│ seed")


async def test_marks_say_what_an_action_is_about(filled, opened):
    async with opened() as app:
        await app.press("home", "space", "space")
        assert len(app.app.screen.chosen_names) == 2
        assert app.shows("2 marked")
        await app.press("escape")
        assert app.app.screen.chosen_names == [cursor(app)]


async def test_columns_can_be_chosen(filled, opened):
    async with opened() as app:
        assert "method" in app.text.splitlines()[2]
        await app.press("C")
        await app.press("home", "down", "down", "down", "space", "enter")
        assert "method" not in app.text.splitlines()[2]


async def test_the_cursor_stays_on_its_run_when_rows_move(filled, opened):
    async with opened() as app:
        app.app.screen.grid.move_to("first/searched/seed=1")
        filled.finished("first/a-new-one")
        await app.until(lambda: "first/a-new-one" in names(app))
        assert cursor(app) == "first/searched/seed=1"


async def test_the_run_under_the_cursor_shows_its_loss_and_its_log(filled, opened):
    async with opened() as app:
        app.app.screen.grid.move_to("first/searched/seed=0")
        await app.until(lambda: app.shows("searching", "━ train"))


async def test_a_live_run_moves_on_the_screen(script, opened):
    script.living("first/live")
    async with opened() as app:
        await app.until(lambda: app.shows("● running", "12/40"))
        script.advance("first/live", 5)
        await app.until(lambda: app.shows("17/40"))
        script.end("first/live")
        await app.until(lambda: not app.shows("● running"))


async def test_a_long_list_scrolls_with_the_cursor(script, opened):
    for number in range(60):
        script.queued(f"first/run-{number:02d}", wanted="held")
    async with opened(size=(80, 24)) as app:
        await app.press("end")
        assert app.shows("run-59")
        await app.press("home")
        assert app.shows("run-00")
        assert isinstance(app.app.screen, Runs)


async def test_the_table_is_seen_on_any_terminal_and_whatever_it_was_before(filled, opened):
    async with opened() as app:
        await app.fits()
        assert app.shows("damaged", "test")


async def test_quitting_leaves_at_once_where_nothing_runs(filled, opened):
    async with opened() as app:
        await app.press("q")
        assert not app.app.is_running or app.app._exit


def test_the_columns_that_tell_runs_apart_are_those_of_all_runs_however_they_change(script):
    run = read_run(script.workspace.run(script.finished("first/a").path.relative_to(script.workspace.path)), "first/a")
    first, place = line_of(run, {}), random.Random(0)
    telling, lines = TellingColumns(), {}
    for _ in range(200):
        name = f"first/{place.randrange(5)}"
        if place.random() < 0.2:
            lines.pop(name, None)
        else:
            lines[name] = replace(first, name=name, note=place.choice("ab"), score=place.choice((0.1, 0.2)))
        differ = [c.key for c in shown_columns() if len({COLUMNS[c.key].of(line) for line in lines.values()}) > 1]
        expected = [c.key for c in shown_columns() if len(lines) < 2 or c.key in ALWAYS or c.key in differ]
        assert [column.key for column in telling.of(lines)] == expected
