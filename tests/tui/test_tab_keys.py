"""Keys of tabs, pressed as fast as a hand presses them."""

import pytest
from textual.widgets import ContentSwitcher, Tabs

from s3tui.tui.screens.run import PANES, Run

NAMES = [name.lower() for name in PANES]


def where(app):
    """The tab that is underlined, the one whose content is shown, and the one that has the keys."""
    screen = app.app.screen
    if not isinstance(screen, Run) or not screen.is_whole or app.app.focused is None:
        return []
    underlined = screen.query_one(Tabs).active_tab.id.rpartition("-")[2]
    focused = [node.id for node in app.app.focused.ancestors if node.id in NAMES]
    return [underlined, screen.query_one(ContentSwitcher).current, *focused]


@pytest.mark.parametrize("pause", [0.0, 0.1, 0.4])
async def test_the_last_key_of_a_tab_wins(script, opened, pause):
    script.living("first/live")
    async with opened() as app:
        await app.press("enter")
        await app.until(lambda: isinstance(app.app.screen, Run))
        for key in "342617":
            script.advance("first/live")
            app.app.simulate_key(key)
            await app.pilot.pause(pause)
        await app.until(lambda: where(app) == ["files"] * 3)
        await app.press("j")  # by then nothing is under way any more
        assert where(app) == ["files"] * 3
