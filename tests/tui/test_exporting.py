"""What is on the screen, written to files that are never overwritten unasked."""

import csv
import json
import sys

import pytest


@pytest.fixture
def filled(script, tmp_path, monkeypatch):
    """Two runs, seen from a folder where files may be written."""
    script.finished("first/a", score=2 / 3)
    script.finished("first/b", score=0.5, method="random")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


async def export(app, form, *more):
    await app.press("e", form)
    await app.press(*more, "enter")


async def ready(app):
    """The plot of the run under the cursor is drawn."""
    await app.until(lambda: not app.app.screen.plot_on_screen.figure.is_empty)


async def test_the_table_of_runs_is_written_unrounded(filled, opened):
    async with opened() as app:
        await export(app, "c")
        await app.until((filled / "runs.csv").exists)
        await export(app, "j")
        await app.until((filled / "runs.json").exists)
    rows = list(csv.DictReader((filled / "runs.csv").open()))
    assert [(row["name"], float(row["score"])) for row in rows] == [("first/a", 2 / 3), ("first/b", 0.5)]
    assert json.loads((filled / "runs.json").read_text())["runs"][0]["score"] == 2 / 3


async def test_a_free_name_is_proposed_and_nothing_is_overwritten_unasked(filled, opened):
    (filled / "runs.csv").write_text("mine")
    async with opened() as app:
        await export(app, "c")
        await app.until((filled / "runs-2.csv").exists)
        await app.press("e", "c", "home", "ctrl+k")
        await app.write("runs.csv")
        await app.press("enter")
        assert app.shows("runs.csv exists already")
        await app.press("n")
        assert (filled / "runs.csv").read_text() == "mine"
        await app.press("e", "c", "home", "ctrl+k")
        await app.write("runs.csv")
        await app.press("enter", "y")
        await app.until(lambda: (filled / "runs.csv").read_text() != "mine")


@pytest.mark.parametrize(("form", "begins"), [("s", b"<?xml"), ("p", b"\x89PNG")])
async def test_the_plot_is_written_as_a_picture(filled, opened, form, begins):
    pytest.importorskip("matplotlib")
    async with opened() as app:
        await ready(app)
        await export(app, form)
        file = filled / f"first-a-loss.{'svg' if form == 's' else 'png'}"
        await app.until(file.exists)
        await app.until(lambda: file.read_bytes().startswith(begins))


async def test_without_matplotlib_svg_is_the_screen_and_png_says_what_to_install(filled, opened, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    async with opened() as app:
        await ready(app)
        await export(app, "p")
        await app.until(lambda: any("s3tui[plot]" in n.message for n in app.app._notifications))
        assert not list(filled.glob("*.png"))
        await export(app, "s")
        await app.until((filled / "first-a-loss.svg").exists)
        await app.until(lambda: "finished" in (filled / "first-a-loss.svg").read_text())


async def test_a_file_that_cannot_be_written_is_told(filled, opened):
    async with opened() as app:
        await app.press("e", "c", "home", "ctrl+k")
        await app.write("no/such.csv")
        await app.press("enter")
        await app.until(lambda: any("no/such.csv cannot be written" in n.message for n in app.app._notifications))


async def test_compared_runs_are_written_with_the_settings_that_differ(filled, opened):
    async with opened() as app:
        await app.press("a", "c", "2")
        await app.until(lambda: app.app.screen.table_on_screen.rows)
        await export(app, "j")
        await app.until((filled / "compared-results.json").exists)
        rows = json.loads((filled / "compared-results.json").read_text())["results"]
        assert [(row["method"], row["score"]) for row in rows] == [("s3", 2 / 3), ("random", 0.5)]
        await app.press("4")
        await app.until(lambda: app.app.screen.table_on_screen.rows)
        await export(app, "c")
        await app.until((filled / "compared-candidates.csv").exists)
    rows = list(csv.DictReader((filled / "compared-candidates.csv").open()))
    assert {row["runs"] for row in rows} == {"2"}
    assert all(0 <= float(row["mean_p"]) <= 1 for row in rows)


async def test_the_plot_of_a_run_is_named_for_the_run(filled, opened):
    async with opened() as app:
        await app.press("home", "enter")
        await app.until(lambda: not app.app.screen.plot_on_screen.figure.is_empty)
        await app.press("e", "s")
        assert app.shows("first-a-loss.svg")
