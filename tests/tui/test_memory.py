"""The app remembers how one looked at a workspace, outside of it, and forgets it by a key."""

import json

import pytest

from s3tui.tui.support.memory import Memory, state_file


@pytest.fixture
def filled(script):
    for seed in range(3):
        script.finished(f"first/searched/seed={seed}", seed=seed, score=0.7 + seed / 100)
    script.finished("first/by-chance", method="random", score=0.65)
    script.failed("first/broken")
    return script


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return state_file()


def titles(app):
    return [column.key for column in app.app.screen.grid.columns]


async def choose(app):
    """Sorted by test score, grouped by method, filtered, without the first column that may go, in another theme."""
    await app.press("o", "home", *["down"] * 9, "enter")
    await app.press("b", "home", "down", "down", "enter")
    await app.press("C", "home", "space", "enter", "f")
    await app.write("-status:failed")
    await app.press("enter")
    app.app.theme = "nord"
    await app.until(lambda: "status" not in titles(app) and app.shows("method = s3", "4 of 5"))


async def test_a_workspace_is_shown_as_it_was_left_until_it_is_reset(filled, opened, file, tmp_path):
    before = {path for path in filled.workspace.path.rglob("*") if path.is_file()}
    async with opened(memory=Memory(file)) as app:
        default = titles(app)
        await choose(app)
        chosen = titles(app)
    assert file.is_relative_to(tmp_path / "state")
    assert {path for path in filled.workspace.path.rglob("*") if path.is_file()} <= before | {filled.workspace.lock}
    async with opened(memory=Memory(file)) as app:
        await app.until(lambda: app.shows("method = s3", "4 of 5", "test▲", "-status:failed"))
        assert app.app.theme == "nord"
        assert titles(app) == chosen != default
        await app.press("R")
        await app.until(lambda: titles(app) == default and not app.shows("4 of 5") and not app.shows("method = s3"))
        assert app.app.theme == "textual-dark"
    async with opened(memory=Memory(file)) as app:
        assert titles(app) == default
        assert app.app.theme == "textual-dark"


@pytest.mark.parametrize("content", ["{ torn", json.dumps({"theme": "none such", "workspaces": {}}), "[]"])
async def test_a_damaged_file_is_as_good_as_none(filled, opened, file, content):
    file.parent.mkdir(parents=True)
    file.write_text(content)
    async with opened(memory=Memory(file)) as app:
        await app.until(lambda: len(app.app.screen.grid.rows) == 5)
    assert json.loads(file.read_text())["workspaces"]


async def test_columns_that_say_the_same_of_all_runs_hide(filled, opened):
    async with opened(size=(200, 40)) as app:
        assert "task" not in titles(app)
        assert {"method", "test", "parameters", "note"} <= set(titles(app))
        assert app.shows("diverged: the loss")
        filled.finished("first/other", task={"name": "cb"})
        await app.until(lambda: "task" in titles(app))


async def test_on_a_small_screen_method_progress_score_and_time_left_stay_and_so_does_the_help(script, opened):
    for seed in range(2):
        script.finished(f"first/a-name-with-several-parts/rate=0.003/seed={seed}", seed=seed)
    script.finished("first/other", method="random")
    script.living("first/live")
    async with opened(size=(80, 24)) as app:
        await app.until(lambda: app.shows("12/40"))
        header = app.text.splitlines()[2]
        assert all(title in header for title in ("status", "run", "method", "progress", "test", "left"))
        assert app.shows("seed=0", "seed=1")
        await app.press("G", "enter")
        await app.until(lambda: app.shows("1 Loss") and app.text.splitlines()[-1].endswith("? Help"))
