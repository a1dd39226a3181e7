"""Runs side by side: curves, results with what differs, score against parameters, what was chosen how often."""

import pytest

from s3tui.tui.screens import runs
from s3tui.tui.screens.compare import Compare


@pytest.fixture
def filled(script):
    """Three seeds of a search and a baseline."""
    for seed, score in enumerate((0.70, 0.72, 0.68)):
        script.finished(f"first/searched/seed={seed}", seed=seed, score=score, steps=40 + seed)
    script.finished("first/by-chance", method="random", score=0.65)
    return script


async def compare(app, tab="1"):
    """Mark all runs and compare them."""
    await app.press("a", "c")
    await app.until(lambda: isinstance(app.app.screen, Compare) and app.shows("4 runs compared"))
    await app.until(lambda: not app.shows("reading"))
    await app.press(tab)


def figure(app):
    return app.app.screen.pane.figure_on_screen


def table(app):
    return {row.key: row.cells for row in app.app.screen.pane.grid_on_screen.rows}


def written(cell):
    return "".join(part for part, _ in cell).strip()


async def test_curves_of_the_marked_runs_lie_on_each_other(filled, opened):
    async with opened() as app:
        await compare(app)
        await app.until(lambda: len(figure(app).traces) == 4)
        assert [trace.label for trace in figure(app).traces] == [
            "by-chance", "searched/seed=0", "searched/seed=1", "searched/seed=2",
        ]  # fmt: skip
        assert app.shows("━ by-chance", "━ searched/seed=2")


async def test_scores_lie_over_steps_and_over_time(filled, opened):
    async with opened() as app:
        await compare(app)
        await app.press("v")
        scores = {trace.label: trace.curve for trace in figure(app).traces}
        assert scores["by-chance"].x == (10, 20, 30, 40, 60, 80)  # the steps of retraining come after the search
        await app.press("v")
        times = {trace.label: trace.curve for trace in figure(app).traces}
        assert times["by-chance"].y == scores["by-chance"].y
        assert times["by-chance"].x == pytest.approx((10, 20, 30, 40, 60, 80))  # a step a second, as scripted
        assert figure(app).x_label == "seconds"


async def test_results_show_only_the_settings_that_differ(filled, opened):
    async with opened() as app:
        await compare(app, "2")
        await app.until(lambda: len(table(app)) == 4)
        columns = [column.key for column in app.app.screen.pane.grid_on_screen.columns if column.key.startswith("=")]
        assert columns == ["=method", "=seed", "=retrain.start"]  # a search has weights to go on from
        assert written(table(app)["first/by-chance"]["=method"]) == "random"
        assert app.shows("72.00", "65.00")
        await app.press("enter")
        assert type(app.app.screen).__name__ == "Run"


async def test_the_pareto_line_is_of_means_over_seeds_and_a_head_alone_is_a_level(filled, opened):
    filled.finished("first/small", score=0.69, layers=1)  # above the worst of the seeds, below their mean
    filled.finished("first/head", score=0.60, layers=0)
    async with opened() as app:
        await app.press("a", "c", "3")
        await app.until(lambda: len(table(app)) == 7)
        front = {name for name, cells in table(app).items() if written(cells["front"])}
        parameters = {name: line.parameters for name, line in app.app.snapshot.lines.items()}
        assert parameters["first/head"] == 0
        assert parameters["first/small"] < parameters["first/by-chance"] == parameters["first/searched/seed=0"]
        assert front == {"first/head", "first/small", "\0first/searched"}
        await app.until(lambda: app.shows("± 2.00 mean", "70.00", "┄ head alone"))
        line = next(trace for trace in figure(app).traces if trace.label == "Pareto")
        assert line.curve.y == pytest.approx((69, 69, 70, 70))
        (spread,) = (trace for trace in figure(app).traces if not trace.label)
        assert spread.curve.y == pytest.approx((68, 72))
        assert figure(app).level == (60, "head alone")


async def test_candidates_are_counted_over_all_runs_or_over_the_seeds_of_one_setting(filled, opened):
    async with opened() as app:
        await compare(app, "4")
        await app.until(lambda: table(app))
        assert {written(cells["times"])[-2:] for cells in table(app).values()} == {"/4"}
        await app.press("f")
        assert app.shows("3 runs of first/searched")
        assert {written(cells["times"]) for cells in table(app).values()} == {
            "3/3"
        }  # the same script, whatever the seed


async def test_more_runs_than_can_be_told_apart_are_all_in_the_table(filled, opened):
    for number in range(6):
        filled.finished(f"first/more-{number}", steps=5, search={"temperature": 1 + number / 10})
    async with opened() as app:
        await app.press("a", "c")
        await app.until(lambda: app.shows("10 runs compared", "curves of the first 8"))
        await app.until(lambda: len(app.app.snapshot.details) == 8)
        await app.press("2")
        await app.until(lambda: len(table(app)) == 10)


async def test_a_cursor_that_comes_to_rest_behind_the_comparison_takes_no_detail_from_it(filled, opened, monkeypatch):
    monkeypatch.setattr(runs, "SETTLE_SECONDS", 2.0)  # longer than it takes to press two keys
    filled.living("first/live")
    async with opened() as app:
        behind = app.app.screen
        behind.grid.move_to("first/by-chance")
        await app.press("a", "c")
        await app.until(lambda: behind._settling._task.done())
        filled.advance("first/live", 5)
        await app.until(lambda: any(trace.label == "live" and trace.curve.x[-1] == 17 for trace in figure(app).traces))
        filled.end("first/live")


async def test_a_live_run_moves_among_the_others(filled, opened):
    filled.living("first/live")
    async with opened() as app:
        await app.press("a", "c")
        await app.until(lambda: any(trace.label == "live" and trace.curve.x[-1] == 12 for trace in figure(app).traces))
        filled.advance("first/live", 5)
        await app.until(lambda: any(trace.label == "live" and trace.curve.x[-1] == 17 for trace in figure(app).traces))
        filled.end("first/live")


@pytest.mark.parametrize("tab", "1234")
async def test_every_side_of_a_comparison_is_seen_on_any_terminal(filled, opened, tab):
    async with opened() as app:
        await compare(app, tab)
        await app.fits()
