"""The verdict on a search stands beside its score wherever the app shows that."""

import pytest

from core.run.rundir import write_json
from core.run.structure import read_structure


def with_p(directory, value):
    """The same structure with another p of what is chosen."""
    found = read_structure(directory.structure).to_json()
    for row in found["candidates"]:
        row["p"] = value(row["selected"])
    write_json(directory.structure, found)


@pytest.fixture
def searched(script):
    with_p(script.finished("first/flat", score=0.6), lambda chosen: 0.4)
    with_p(script.finished("first/sure", score=0.7), lambda chosen: 0.95 if chosen else 0.02)
    script.finished("first/by-chance", method="random", score=0.65)
    return script


def row_of(app, name):
    return next(line for line in app.text.replace("│", " ").splitlines() if f" {name} " in line and "━" not in line)


def verdict(app, name):
    found = app.app.snapshot.lines[name].verdict
    return found and found.word


async def known(app):
    await app.until(lambda: verdict(app, "first/flat") and verdict(app, "first/sure"))
    await app.settle()


async def test_the_table_of_runs_has_a_column_for_it(searched, opened):
    async with opened(size=(200, 60)) as app:
        await known(app)
        assert "60.00!  near chance" in row_of(app, "flat")
        assert "70.00   decided" in row_of(app, "sure")
        assert "65.00  " in row_of(app, "by-chance")
        assert app.app.snapshot.lines["first/by-chance"].verdict is None


async def test_where_there_is_no_room_for_the_column_a_mark_stands_at_the_score(searched, opened):
    async with opened(size=(80, 24)) as app:
        await known(app)
        assert "60.00!" in row_of(app, "flat")
        assert "!" not in row_of(app, "sure")


async def test_runs_are_filtered_by_it(searched, opened):
    async with opened() as app:
        await known(app)
        await app.press("f")
        await app.write("verdict:decided")
        await app.until(lambda: app.shows("sure") and not app.shows("flat"))


async def test_a_run_has_it_in_its_head_and_in_full_on_its_structure(searched, opened):
    async with opened() as app:
        await known(app)
        app.app.screen.grid.move_to("first/flat")
        await app.press("enter")
        await app.until(lambda: app.shows("search near chance"))
        await app.press("4")
        await app.until(lambda: app.shows("near chance: p is almost flat (100% of the entropy of equal gates)"))


async def test_the_comparison_has_it_beside_every_score(searched, opened):
    async with opened(size=(160, 40)) as app:
        await known(app)
        await app.press("a", "c", "2")
        await app.until(lambda: "60.00!  near chance" in row_of(app, "flat"))
        await app.press("3")
        await app.until(lambda: app.shows("Pareto front") and "60.00!" in row_of(app, "flat"))
        assert "!" not in row_of(app, "sure")


async def test_a_search_has_it_on_its_structure_from_half_of_its_steps_on(script, opened):
    script.living("first/now", until=12, steps=40)
    async with opened() as app:
        app.app.screen.grid.move_to("first/now")
        await app.press("enter", "4")
        await app.until(lambda: app.shows("would be selected now"))
        assert not app.shows("so far")
        script.advance("first/now", 20)
        await app.until(lambda: app.shows("so far undecided: 0 of", "chosen candidates have p > 0.9"))


async def test_a_structure_that_is_replaced_is_judged_again(searched, opened):
    async with opened() as app:
        await known(app)
        directory = searched.workspace.run("first/flat")
        with_p(directory, lambda chosen: 0.99 if chosen else 0.01)
        await app.until(lambda: verdict(app, "first/flat") == "decided")
