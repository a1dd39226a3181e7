"""The screen of a race: arms as curves and as a table, the best structure, and decisions by hand."""

import os

import pytest
from scripted import BUDGET, candidates
from textual.screen import ModalScreen

from core.run.events import Eval, EventWriter, Phase, Started, Step, StructureChosen
from core.run.limit import Limit, write_limit
from core.run.rundir import write_json
from core.run.structure import Structure
from s3tui.race.record import Record, Rules, read_race, write_race
from s3tui.tui.charts.figures import FADED
from s3tui.tui.screens.race import Race
from s3tui.tui.widgets.grid import Grid
from s3tui.tui.widgets.heatmap import HeatMap
from s3tui.tui.widgets.plot import Plot

RULES = Rules((10, 20), keep=0.5, confirm=1, final=1)
SCORES = {0: 0.6, 1: 0.7, 2: 0.5, 3: 0.4}  # of each seed, after 10 steps
CHOSEN = (1, 4, 7)


def arm(script, seed, score):
    """An arm that waits at the first rung."""
    directory = script.queued(f"first/best/seed={seed}", "held", method="random", seed=seed)
    write_limit(directory, Limit(10))
    writer = EventWriter(directory.events, lambda: 1_790_000_000.0 + seed)
    writer.write(Started("0", 1, 1, "cpu", "fp32", {}))
    writer.write(StructureChosen(list(CHOSEN), 300))
    writer.write(Phase("retrain", 20))
    for step in (5, 10):
        writer.write(Step("retrain", step, 1.0, 1.0, 1e-3))
        writer.write(Eval("retrain", step, "validation", {"accuracy": score - 0.02 * (10 - step)}, True))
    writer.close()
    space = candidates()
    structure = Structure(space, (0.5,) * len(space), CHOSEN, BUDGET, "builtin:minilm")
    write_json(directory.structure, structure.to_json())


@pytest.fixture
def raced(script):
    """Four arms at the first of two rungs, of which two go on, in a workspace that starts nothing."""
    script.workspace.pause.touch()
    for seed, score in SCORES.items():
        arm(script, seed, score)
    script.queued("first/alone", "held")
    write_race(script.workspace.path / "first/best", Record(RULES, tuple(f"best/seed={s}" for s in SCORES), (9,)))
    return script


def hand(script):
    return read_race(script.workspace.path / "first/best").hand


def rows(app):
    """What the table says of each arm."""
    found = app.app.screen.query_one("#arms", Grid).rows
    return {row.key: {name: "".join(part for part, _ in cell) for name, cell in row.cells.items()} for row in found}


async def show(app):
    app.app.screen.grid.move_to("first/best/seed=0")
    await app.press("A")
    await app.until(lambda: isinstance(app.app.screen, Race) and len(rows(app)) == 4)


async def test_arms_are_curves_with_rungs_as_lines_and_those_that_are_out_faded(raced, opened):
    async with opened() as app:
        await show(app)
        figure = app.app.screen.query_one(Plot).figure
        assert figure.borders == (10.0, 20.0)
        assert {trace.label: trace.colour == FADED for trace in figure.traces} == {
            "1": False, "0": False, "best/seed=2": True, "best/seed=3": True,
        }  # fmt: skip
        assert {trace.label: trace.curve.y for trace in figure.traces}["1"] == pytest.approx((60.0, 70.0))
        assert [(key, row["place"], row["fate"]) for key, row in rows(app).items()] == [
            ("best/seed=1", "1st of 4", "under way"),
            ("best/seed=0", "2nd of 4", "under way"),
            ("best/seed=2", "3rd of 4", "dropped"),
            ("best/seed=3", "4th of 4", "dropped"),
        ]
        assert app.shows("2 under way", "2 dropped", "40 steps", "left at most 40 steps", "arm 1, ")
        assert set(app.app.screen.query_one(HeatMap).marks) == set(CHOSEN)
        await app.press("enter")
        await app.until(lambda: app.shows("first/best/seed=1"))
        assert type(app.app.screen).__name__ == "Run"


async def test_an_arm_is_dropped_and_another_kept_by_their_keys(raced, opened):
    async with opened() as app:
        await show(app)
        await app.press("x")
        await app.until(lambda: hand(raced).dropped == ("best/seed=1",))
        await app.until(lambda: rows(app)["best/seed=1"]["fate"] == "dropped ✎")
        # One that was dropped by the race, and the one that was dropped by hand.
        app.app.screen.query_one("#arms", Grid).move_to("best/seed=3")
        await app.press("K")
        await app.until(lambda: rows(app)["best/seed=3"]["fate"] == "under way ✎")
        app.app.screen.query_one("#arms", Grid).move_to("best/seed=1")
        await app.press("K")
        await app.until(lambda: hand(raced).kept == ("best/seed=3", "best/seed=1"))
        assert hand(raced).dropped == ()


async def test_a_race_is_ended_after_asking(raced, opened):
    async with opened() as app:
        await show(app)
        await app.press("E")
        assert app.shows("what runs is stopped, and the best arms so far are confirmed")
        await app.press("n")
        assert not hand(raced).ended
        await app.press("E", "y")
        await app.until(lambda: app.shows("ended by hand") and rows(app)["best/seed=1"]["fate"] == "final")
        assert hand(raced).ended


async def test_no_decision_is_asked_for_in_a_race_of_somebody_else(raced, opened, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: raced.workspace.path.stat().st_uid + 1)
    before = hand(raced)
    async with opened() as app:
        await show(app)
        for key in ("x", "K", "E", "plus"):
            app.app.clear_notifications()
            await app.press(key)
            assert not isinstance(app.app.screen, ModalScreen), f"{key} asks before it refuses"
            await app.until(lambda: any("read-only" in note.message for note in app.app._notifications))
    assert hand(raced) == before


async def test_a_fixed_list_of_arms_and_a_run_outside_of_any_race_say_so_in_a_line(raced, opened):
    async with opened() as app:
        app.app.screen.grid.move_to("first/alone")
        await app.press("A")
        await app.until(lambda: app.shows("this run is in no race"))
        await show(app)
        await app.press("plus")
        await app.until(lambda: app.shows("fixed list"))


async def test_the_race_fits_at_any_size(raced, opened):
    async with opened() as app:
        await show(app)
        await app.fits()
