"""The edge between table and charts moves by keys and with the mouse, and a part can have the whole screen."""

import pytest

from s3tui.tui.widgets.glance import height_of


def heights(app):
    screen = app.app.screen
    glance = screen.query_one("#glance")
    return screen.grid.outer_size.height, glance.outer_size.height if glance.display else 0


@pytest.mark.parametrize(
    ("share", "screen", "both", "needed", "height"),
    [(35, 40, 30, 100, 14), (35, 40, 30, 10, 20), (85, 40, 30, 10, 34), (35, 24, 0, 10, 8)],
)
def test_the_charts_have_their_share_or_what_a_short_table_leaves(share, screen, both, needed, height):
    assert height_of(share, screen, both, needed) == height


async def test_a_long_table_is_made_larger_and_smaller_and_that_is_remembered(script, opened):
    for number in range(40):
        script.queued(f"first/run-{number:02d}", wanted="held")
    async with opened() as app:
        await app.until(lambda: heights(app)[1] == 14)
        table, charts = heights(app)
        await app.press("minus", "minus")
        await app.until(lambda: heights(app) == (table - 4, charts + 4))
        await app.press("plus", "plus", "plus")
        await app.until(lambda: heights(app) == (table + 2, charts - 2))
        edge = app.app.screen.query_one("#glance").region.y
        await app.pilot.mouse_down(offset=(20, edge))
        await app.pilot.hover(offset=(20, edge - 10))
        await app.pilot.mouse_up(offset=(20, edge - 10))
        await app.until(lambda: heights(app) == (table - 8, charts + 8))
        await app.pilot.hover(offset=(20, 5))
        assert app.app.memory.of(script.workspace.path).glance == 55
        await app.press("R")
        await app.until(lambda: heights(app) == (table, charts))


async def test_a_part_has_the_whole_screen_until_it_is_taken_back(script, opened):
    script.finished("first/done")
    script.finished("first/other")
    async with opened() as app:
        await app.until(lambda: heights(app)[0] == 10 < heights(app)[1])
        await app.press("z")
        await app.until(lambda: heights(app) == (38, 0))
        await app.press("z")
        await app.until(lambda: heights(app)[0] == 10 < heights(app)[1])
        await app.press("enter", "3")
        await app.until(lambda: app.shows("share of each delta", "near the cut", "sampled"))
        await app.press("z")
        await app.until(lambda: app.shows("sampled") and not app.shows("share of each delta"))
        await app.press("v")
        await app.until(lambda: app.shows("share of each delta") and not app.shows("sampled"))
