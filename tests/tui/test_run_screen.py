"""One run from all sides: each tab shows what the run's files say, and follows them."""

import json

import pytest

from s3tui.tui.screens.run import PANES, Run
from s3tui.tui.screens.runs import Runs


@pytest.fixture
def searched(script):
    script.finished("first/searched", log=["loading", *(f"line {n}" for n in range(200)), "done"])
    script.finished("first/other", score=0.6, search={"temperature": 0.5})
    return script


@pytest.fixture
def at(searched, opened):
    """The app at a tab of the run."""
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def open_at(tab, size=(120, 40)):
        async with opened(size=size) as app:
            app.app.screen.grid.move_to("first/searched")
            await app.press("enter")
            await app.until(lambda: isinstance(app.app.screen, Run))
            await app.press(str(list(PANES).index(tab) + 1))
            await app.until(
                lambda: app.app.screen.pane.id == app.app.screen.query_one(f"#{tab.lower()}").children[0].id
            )
            yield app

    return open_at


def detail(app):
    return app.app.snapshot.details["first/searched"]


async def test_the_head_says_where_the_run_stands(at):
    async with at("Loss") as app:
        await app.until(lambda: app.shows("✓ finished", "first/searched", "icd10-chapter", "test 70.00"))


async def test_loss_draws_train_and_validation_and_the_other_charts_beside_it(at):
    async with at("Loss") as app:
        await app.until(
            lambda: app.shows("━ train", "━ validation", "gradient norm of weights", "norm of gates", "accuracy x 100")
        )
        figure = app.app.screen.pane.figure_on_screen
        assert [trace.label for trace in figure.traces] == ["train", "validation"]
        assert len(figure.traces[0].curve.x) == 80, "40 steps of search, 40 of retraining behind them"
        assert figure.borders == (40,)


async def test_keys_change_scale_smoothing_phase_and_zoom(at):
    async with at("Loss") as app:
        await app.until(lambda: app.shows("━ train"))
        await app.press("l", "m", "f", "plus")
        assert app.shows("search, log, smoothed 0.6, 50% of x")
        await app.press("left", "minus")
        assert app.shows("search, log, smoothed 0.6")
        assert not app.shows("% of x")


async def test_another_chart_takes_the_large_place(at):
    async with at("Loss", size=(80, 24)) as app:
        await app.until(lambda: app.shows("━ train"))
        await app.press("v")
        assert app.shows("accuracy x 100")


async def test_weights_and_gates_have_axes_of_their_own_and_charts_can_be_chosen(at):
    async with at("Loss") as app:
        await app.until(lambda: app.shows("━ train"))
        seen = []
        for _ in range(6):
            figure = app.app.screen.pane.figure_on_screen
            seen.append((figure.title, len(figure.traces)))
            await app.press("v")
        kinds = (
            "gradient norm of weights",
            "gradient norm of gates",
            "learning rate of weights",
            "learning rate of gates",
        )
        assert seen == [("loss", 2), ("accuracy x 100", 1), *((kind, 1) for kind in kinds)]
        await app.press("o", *["space", "down"] * 4, "enter")  # all but the learning rates are left out
        await app.until(lambda: app.shows("learning rate of gates") and not app.shows("━ train"))
        await app.press("v", "v")
        assert app.app.screen.pane.figure_on_screen.title == "learning rate of weights"


async def test_the_log_follows_searches_and_wraps(at):
    async with at("Log") as app:
        await app.until(lambda: app.shows("line 199", "done", "following"))
        await app.press("slash")
        await app.write("line 42")
        await app.press("enter")
        await app.until(lambda: app.shows("line 42") and not app.shows("line 199"))
        assert not app.shows("following")
        await app.press("f")
        assert app.shows("done")


async def test_settings_are_all_there_or_only_those_that_differ(at):
    async with at("Config") as app:
        await app.until(lambda: app.shows("builtin:minilm", "task.name"))
        assert "search.temperature" in {row.key for row in app.app.screen.pane.grid_on_screen.rows}
        await app.press("f", "end", "enter")
        await app.until(lambda: app.shows("settings that differ from first/other"))
        rows = {row.key: row for row in app.app.screen.pane.grid_on_screen.rows}
        assert list(rows) == ["search.temperature"]
        assert app.shows("1.0", "0.5")


async def test_files_say_what_they_are(at):
    async with at("Files") as app:
        await app.until(lambda: app.shows("events.jsonl", "the event stream, append only", "structure.json"))


async def test_escape_goes_back_to_the_runs(at):
    async with at("Loss") as app:
        await app.press("escape")
        await app.until(lambda: isinstance(app.app.screen, Runs))


async def test_brackets_move_along_the_list(at):
    async with at("Loss") as app:
        before = app.app.screen.chosen_names
        await app.press("left_square_bracket")
        await app.press("right_square_bracket")
        assert app.app.screen.chosen_names == before
        await app.press("left_square_bracket")
        assert app.app.screen.chosen_names == ["first/other"]


async def test_a_live_run_is_followed(script, opened):
    script.living("first/live")
    async with opened() as app:
        await app.press("enter")
        await app.until(lambda: app.shows("search", "12/40"))
        script.advance("first/live", 3)
        await app.until(lambda: app.shows("15/40"))
        await app.until(lambda: len(app.app.screen.pane.figure_on_screen.traces[0].curve.x) == 15)


async def test_a_run_that_is_deleted_meanwhile_leads_back(at, searched):
    from s3tui.scheduling import control

    async with at("Loss") as app:
        control.remove(searched.workspace, searched.workspace.run("first/searched"))
        await app.until(lambda: isinstance(app.app.screen, Runs))
        await app.until(lambda: app.shows("was deleted"))


@pytest.mark.parametrize("tab", PANES)
async def test_every_tab_shows_its_main_part_on_any_terminal(at, tab):
    async with at(tab) as app:
        await app.fits()


async def test_a_damaged_history_is_shown_as_far_as_it_goes(searched, opened):
    directory = searched.workspace.run("first/searched")
    lines = directory.events.read_text().splitlines()
    lines[10] = '{"type": "step", "step": "many"'
    lines[12] = json.dumps({"v": 1, "type": "gates", "step": 3, "p": ["a"], "seq": 3, "t": 1.0})
    directory.events.write_text("\n".join(lines) + "\n")
    async with opened() as app:
        app.app.screen.grid.move_to("first/searched")
        await app.press("enter")
        await app.until(lambda: app.shows("2 damaged lines skipped", "━ train"))
